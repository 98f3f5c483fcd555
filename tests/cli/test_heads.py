"""`translator heads` as a person calls it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.config import KINDS
from translator.inspection.statistics import FIGURES

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> list[object]:
    (tmp_path / "source").write_text("a dog sleeps.\n\nthe red house\n")
    (tmp_path / "target").write_text("the dog reads.\non\non the street\n")
    return ["--source", tmp_path / "source", "--reference", tmp_path / "target", "--set", "device=cpu"]


def test_table_json_and_picture(tiny_run: Path, tmp_path: Path, call_program: Program, files: list[object]) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "links").write_text("0-0\n\n0-1\n")
    outputs = [tmp_path / "new" / "heads.json", tmp_path / "heads.svg"]
    words = [word for path in outputs for word in ("--output", path)]
    code, out, errors = call_program("heads", tiny_run, *files, "--alignment", tmp_path / "links", "--bleu", *words)
    assert code == 0, errors
    assert "line 2 is blank on one side" in errors
    rows = out.split("\n\n")[-1].splitlines()
    names = [f"{kind}.1.{number}" for kind in KINDS for number in (1, 2)]
    assert [row.split()[0] for row in rows] == ["head", *names]
    assert rows[0].split()[-4:] == ["aligned", "loss", "BLEU", "role"]
    report = json.loads(outputs[0].read_text())
    assert [entry["head"] for entry in report["heads"]] == names
    assert report["sentences"] == 2 and report["signature"].startswith("nrefs:1")
    for entry, row in zip(report["heads"], rows[1:], strict=True):
        assert set(FIGURES) < entry.keys()
        assert row.split()[1] == f"{entry['entropy']:.2f}"
        assert (entry["kind"], entry["layer"], str(entry["number"])) == (
            entry["head"].split(".")[0],
            1,
            entry["head"][-1],
        )
        assert (entry["aligned"] is None) == (entry["kind"] != "cross")
    assert report["distances"]["cross"]["heads"] == names[-2:]
    assert report["distances"]["cross"]["bits"][0][1] == report["heads"][-1]["distance"]
    picture = outputs[1].read_text()
    assert picture.startswith("<?xml") and "masked decoder self-attention" in picture


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--output", "{0}/heads.txt"), "ends in .json, .png, .svg, .pdf"),
        (("--output", "{0}/source/heads.json"), "cannot be written"),
        (("--alignment", "{0}/target"), "line 1: found 'the', expected links such as 0-2"),
        (("--to", "de"), "has one target language only"),
        (("--set", "beam_size=3"), "decoding.beam_size: heads without --bleu does not translate"),
        (("--checkpoints", "--set", "seed=3"), "decoding.seed: heads without --bleu does not translate"),
        (("--reference", "{0}/short"), "expected the same number"),
    ],
)
def test_mistakes_are_explained(
    tiny_run: Path, tmp_path: Path, call_program: Program, files: list[object], words: tuple[str, ...], error: str
) -> None:
    (tmp_path / "short").write_text("one\n")
    code, out, errors = call_program("heads", tiny_run, *files, *(word.format(tmp_path) for word in words))
    assert (code, out) == (1, "") and error in errors
