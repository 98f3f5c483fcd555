"""`translator attention`: the ending of the file decides, the printed things, and mistakes before any work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from translator.checkpoints import load_bundle
from translator.config import Head
from translator.inspection import AttentionMaps, inspect_sentence
from translator.inspection.links import alignment_of
from translator.inspection.terminal import terminal_map
from translator.translation import Translator

Call = Callable[..., tuple[int, str, str]]
SENTENCE, TARGET = "a red dog sleeps.", "the house."
BEST = Head("cross", 1, 2)


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run with a head that its alignments come from."""
    copy = tmp_path_factory.mktemp("attention") / "aligned"
    shutil.copytree(tiny_run, copy)
    known = {"layer": 1, "head": 2, "score": 0.5, "pairs": 500, "weights": "final", "step": 12}
    (copy / "alignment.json").write_text(json.dumps(known))
    return copy


@pytest.fixture(scope="module")
def maps(run: Path) -> AttentionMaps:
    return inspect_sentence(Translator(load_bundle(run, device="cpu")), SENTENCE, TARGET)


@pytest.fixture(autouse=True)
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return tmp_path


def test_a_page_is_the_default(call_program: Call, run: Path, in_directory: Path) -> None:
    code, out, err = call_program("attention", run, SENTENCE)
    (translation,) = Translator(load_bundle(run, device="cpu")).translate([SENTENCE])
    assert (code, out) == (0, "attention.html\n") and translation in err
    assert [path.name for path in in_directory.iterdir()] == ["attention.html"]
    page = (in_directory / "attention.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>") and "sleeps" in page


def test_the_ending_decides(call_program: Call, run: Path, in_directory: Path, maps: AttentionMaps) -> None:
    for name, options in (
        ("a.npz", ()), ("b.json", ()), ("new/c.png", ()), ("d.svg", ("--head", "cross.1")),
        ("e.pdf", ("--head", "decoder.1.2")), ("f.PNG", ("--head", "best")), ("g.svg", ("--head", "all")),
    ):  # fmt: skip
        code, out, err = call_program("attention", run, SENTENCE, "--target", TARGET, "--output", name, *options)
        assert (code, out, err) == (0, f"{name}\n", ""), err
    numbers = np.load("a.npz", allow_pickle=False)
    assert (numbers["cross.1"] == maps.weights["cross"][0]).all()
    assert json.loads(Path("b.json").read_text())["predicted"] == list(maps.predicted)
    assert min(imread("new/c.png").shape[:2]) > 200 and min(imread("f.PNG").shape[:2]) > 200
    assert "cross-attention, layer 1" in Path("d.svg").read_text() and "where every head" in Path("g.svg").read_text()
    assert Path("e.pdf").read_bytes().startswith(b"%PDF")


def test_the_map_of_a_head_is_printed(call_program: Call, run: Path, in_directory: Path, maps: AttentionMaps) -> None:
    common = ("attention", run, SENTENCE, "--target", TARGET, "--print", "map")
    for options, head in (
        ((), BEST),
        (("--head", "best"), BEST),
        (("--head", "decoder.1.1"), Head("decoder", 1, 1)),
        (("--set", "alignment=1.1"), Head("cross", 1, 1)),
    ):
        code, out, err = call_program(*common, *options)
        assert (code, out, err) == (0, terminal_map(maps, head, 70) + "\n", "")
    assert not list(in_directory.iterdir())


def test_without_an_alignment_head_the_last_layer_is_printed(call_program: Call, tiny_run: Path) -> None:
    code, out, _ = call_program("attention", tiny_run, SENTENCE, "--target", TARGET, "--print", "map")
    assert code == 0 and out.startswith("cross.1.1 of tiny")
    code, out, err = call_program("attention", tiny_run, SENTENCE, "--print", "alignment")
    assert (code, out) == (1, "") and "has learned no head for alignments; name one" in err


def test_colours_are_for_terminals_that_want_them(
    call_program: Call, run: Path, maps: AttentionMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    common = ("attention", run, SENTENCE, "--target", TARGET, "--print", "map")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: self is sys.stdout, raising=False)
    _, out, _ = call_program(*common)
    assert out == terminal_map(maps, BEST, 70, colour=True) + "\n"
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = call_program(*common)
    assert out == terminal_map(maps, BEST, 70) + "\n"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    _, out, _ = call_program(*common)
    assert out == terminal_map(maps, BEST, 70) + "\n"


def test_the_alignment_is_that_of_translate(call_program: Call, run: Path, maps: AttentionMaps) -> None:
    line = f"{SENTENCE}\nnot this\n".encode()
    _, out, _ = call_program("translate", run, "--format", "jsonl", input=f"{SENTENCE}\n".encode())
    (hypothesis,) = json.loads(out)["hypotheses"]
    code, out, err = call_program("attention", run, "-", "--print", "alignment", input=line)
    assert (code, out) == (0, hypothesis["alignment"] + "\n") and hypothesis["text"] in err
    common = ("attention", run, SENTENCE, "--target", TARGET, "--print", "alignment")
    _, out, _ = call_program(*common, "--head", "cross.1.1")
    assert out == alignment_of(maps, Head("cross", 1, 1)) + "\n"


def test_a_file_beside_what_is_printed_is_named_on_stderr(call_program: Call, run: Path, maps: AttentionMaps) -> None:
    common = ("attention", run, SENTENCE, "--target", TARGET, "--print", "alignment")
    code, out, err = call_program(*common, "--output", "a.html")
    assert (code, out, err) == (0, alignment_of(maps) + "\n", "written to a.html\n")
    assert Path("a.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((SENTENCE, "--output", "a.gif"), 1, "ends in .html, .png, .svg, .pdf, .npz, .json"),
        ((SENTENCE, "--output", "file/a.html"), 1, "cannot be written"),
        ((SENTENCE, "--output", "."), 1, "ends in .html"),
        ((SENTENCE, "--output", "a.png", "--head", "cross.2"), 1, "cross.2 is not in"),
        ((SENTENCE, "--output", "a.png", "--head", "crossed"), 1, "expected KIND.LAYER.HEAD"),
        ((SENTENCE, "--print", "map", "--head", "cross"), 1, "expected one head to print, such as cross.1.1"),
        ((SENTENCE, "--print", "alignment", "--head", "encoder.1.1"), 1, "expected a head of the cross-attention"),
        ((SENTENCE, "--print", "alignment", "--set", "alignment=3.1"), 1, "decoding.alignment: found '3.1'"),
        ((SENTENCE, "--head", "cross.1.1"), 2, "it chooses what a picture or --print shows"),
        ((SENTENCE, "--head", "cross.1.1", "--output", "a.npz"), 2, "it chooses what a picture or --print shows"),
        ((SENTENCE, "--print", "picture"), 2, "--print"),
        ((SENTENCE, "--set", "beam=3"), 1, "beam"),
        ((SENTENCE, "--to", "de"), 1, "one target language only"),
        ((" ",), 1, "source: found a blank sentence"),
        (("-",), 1, "source: found a blank sentence"),
        ((SENTENCE, "--target", ""), 1, "target: found a blank sentence"),
        (("a dog " * 60,), 1, "expected at most 63, the model's limit"),
    ],
)
def test_mistakes_are_explained_before_anything_is_translated(
    call_program: Call, run: Path, in_directory: Path, arguments: tuple[str, ...], code: int, message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("translated")

    monkeypatch.setattr(Translator, "translate_in_detail", refuse)
    (in_directory / "file").touch()
    found, out, err = call_program("attention", run, *arguments)
    assert (found, out) == (code, "") and message in err, err
    assert [path.name for path in in_directory.iterdir()] == ["file"]


def test_a_hostile_sentence_commands_no_terminal(call_program: Call, run: Path) -> None:
    sentence = "a \x1b[31mred\x1b]0;title\x07 dog <script>alert(1)</script> \u202e"
    for options in (("--print", "map"), ("--print", "map", "--head", "encoder.1.1"), ("--print", "alignment")):
        code, out, err = call_program("attention", run, sentence, "--target", sentence, *options)
        assert code == 0 and not {"\x1b", "\x07", "\u202e"} & set(out + err)


def test_numbers_point_to_their_layout(call_program: Call) -> None:
    _, out, _ = call_program("attention", "--help")
    assert "translator.inspection.numbers" in " ".join(out.split())
