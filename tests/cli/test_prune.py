"""`translator prune` refuses what makes no sense before it works."""

from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., tuple[int, str, str]]
FILES = ("--source", "{0}/text", "--reference", "{0}/text")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ((), 2, "expected one of --heads and --loss-budget"),
        (("--heads", "1", "--loss-budget", "0.1"), 2, "expected one of --heads and --loss-budget"),
        (("--heads", "1"), 2, "give --source FILE and --reference FILE"),
        (("--loss-budget", "0.1", "--source", "{0}/text"), 2, "give --source FILE and --reference FILE"),
        (("--heads", "1", "--kind", "self", *FILES), 2, "expected encoder, decoder, cross"),
        (("--heads", "cross.1.1", "--kind", "cross"), 2, "--kind limits which heads are chosen"),
        (("--heads", "4", *FILES), 1, "found 4, expected at most 3 of these 6: every layer keeps at least one"),
        (("--heads", "cross.1"), 1, "found 'cross.1', expected KIND.LAYER.HEAD"),
        (("--heads", "²", *FILES), 1, "found '²', expected KIND.LAYER.HEAD"),
        (("--heads", "cross.1.1,cross.1.2"), 1, "nothing would be left of cross.1"),
        (("--heads", "cross.1.1", "--set", "beam=3"), 1, "beam"),
        (("--heads", "cross.1.1", "--set", "beam_size=3"), 1, "decoding.beam_size: prune does not translate"),
    ],
)
def test_mistakes_are_explained(
    tiny_run: Path, tmp_path: Path, call_program: Program, arguments: tuple[str, ...], code: int, error: str
) -> None:
    (tmp_path / "text").write_text("a dog\nthe house\n")
    words = [word.format(tmp_path) for word in arguments]
    found, _, errors = call_program("prune", tiny_run, "--output", tmp_path / "pruned", *words)
    assert found == code and error in " ".join(errors.replace("│", " ").split())
    assert not (tmp_path / "pruned").exists()


def test_what_was_done_is_said(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    (tmp_path / "text").write_text("a dog\nthe house\n")
    words = [word.format(tmp_path) for word in FILES]
    output = tmp_path / "pruned"
    code, out, errors = call_program("prune", tiny_run, "--output", output, "--heads", "cross.1.1,encoder.1.2", *words)
    assert (code, out) == (0, f"{output}\n"), errors
    assert "removed 2 heads: cross.1.1, encoder.1.2" in errors
    assert "left: encoder 1; decoder 2; cross 1" in errors
    assert "loss on 2 pairs, nats per target token: " in errors


def test_an_output_that_is_taken_is_refused_before_heads_are_measured(
    tiny_run: Path, tmp_path: Path, call_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from translator.inspection import prune as module

    (tmp_path / "text").write_text("a dog\nthe house\n")
    words = [word.format(tmp_path) for word in FILES]
    monkeypatch.setattr(module, "choose_heads", lambda *_, **__: pytest.fail("measured first"))
    code, _, errors = call_program("prune", tiny_run, "--output", tmp_path, "--heads", "1", *words)
    assert code == 1 and "is not an empty directory" in errors
