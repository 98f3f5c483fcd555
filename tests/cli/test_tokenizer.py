"""`translator tokenizer` as a person calls it."""

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

NEW = ("--output", "NEW")
WORDS = "a dog cat man woman child runs sleeps reads in on the red blue big house garden street"
LINES = [f"{first} {second}." for first in WORDS.split() for second in WORDS.split()]
ODD = "a dog\r\n\n  \nA man reads.\u2028 next\nba\0ll </s> <unk> <0x41> ▁\n🙂\u0085\v\f end".encode()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of 320 pieces."""
    from translator.config import TokenizerSettings
    from translator.text import train_tokenizer

    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    file.write_bytes(train_tokenizer(lambda: LINES, TokenizerSettings(vocab_size=320)).model)
    return file


def test_train_encode_decode(tmp_path: Path, run_command: Command) -> None:
    text, more = tmp_path / "text.txt", tmp_path / "more.txt.gz"
    text.write_text("\n".join(LINES[::2]))
    more.write_bytes(gzip.compress("\n".join(LINES[1::2]).encode()))
    output = tmp_path / "new" / "tokenizer.model"
    trained = run_command("tokenizer", "train", text, more, "--output", output, "--set", "vocab_size=320")
    assert (trained.returncode, trained.stdout) == (0, f"{output}\n".encode()), trained.stderr.decode()
    lines = b"the dog sleeps in the garden.\n\na red \xf0\x9f\x99\x82\n"
    for options in ([], ["--ids"]):
        encoded = run_command("tokenizer", "encode", output, *options, input=lines)
        assert encoded.stdout.count(b"\n") == 3
        assert set(encoded.stdout) <= set(b"0123456789 \n") or not options
        decoded = run_command("tokenizer", "decode", output, *options, input=encoded.stdout)
        assert (decoded.returncode, decoded.stdout) == (0, lines)
        assert encoded.stderr == decoded.stderr == b""


@pytest.mark.parametrize("options", [[], ["--ids"]])
def test_lines_in_lines_out(model: Path, call_program: Program, options: list[str]) -> None:
    code, encoded, errors = call_program("tokenizer", "encode", model, *options, input=ODD + b"\xff\n")
    assert code == 0
    assert encoded.count("\n") == ODD.count(b"\n") + 1
    assert encoded.split("\n")[1:3] == ["", ""]
    assert "warning: stdin: line 6 is not valid UTF-8" in errors
    code, decoded, _ = call_program("tokenizer", "decode", model, *options, input=encoded.encode())
    lines = decoded.split("\n")
    assert (code, len(lines)) == (0, encoded.count("\n") + 1)
    assert lines[4] == "ba\0ll </s> <unk> <0x41>"


def test_files_are_read_in_order_and_the_last_line_needs_no_end(
    model: Path, call_program: Program, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"a dog\nruns")
    (tmp_path / "b").write_bytes(gzip.compress(b"the cat\n"))
    _, encoded, _ = call_program("tokenizer", "encode", model, tmp_path / "b", "-", tmp_path / "a", input=b"on")
    _, decoded, _ = call_program("tokenizer", "decode", model, input=encoded.encode())
    assert decoded == "the cat\non\na dog\nruns\n"


def test_a_run_holds_a_tokenizer(tiny_run: Path, call_program: Program) -> None:
    by_run = call_program("tokenizer", "encode", tiny_run, input=b"a dog\n")
    assert by_run == call_program("tokenizer", "encode", tiny_run / "tokenizer.model", input=b"a dog\n")
    assert by_run[0] == 0 and by_run[1].replace(" ", "") == "▁a▁dog\n"


def test_two_tokenizers_are_told_apart(model: Path, call_program: Program, tmp_path: Path) -> None:
    from translator.config import TokenizerSettings
    from translator.text import train_tokenizer

    letters = train_tokenizer(lambda: ["xyz xyz"] * 9, TokenizerSettings(vocab_size=300))
    (tmp_path / "tokenizer.source.model").write_bytes(model.read_bytes())
    (tmp_path / "tokenizer.target.model").write_bytes(letters.model)
    source, target = (
        call_program("tokenizer", "encode", tmp_path, "--side", side, input=b"the dog")[1]
        for side in ("source", "target")
    )
    assert source == call_program("tokenizer", "encode", model, input=b"the dog")[1] != target
    code, _, errors = call_program("tokenizer", "encode", tmp_path, input=b"the dog")
    assert (code, "has a tokenizer for each side; say --side source or --side target" in errors) == (1, True)


def test_both_sides_of_a_corpus_are_read(call_program: Program, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"{line}\tψ{line}\n" for line in LINES))
    output = tmp_path / "out.model"
    words = ["--output", output, "--set", "vocab_size=330", "--set", "type=unigram"]
    assert call_program("tokenizer", "train", tmp_path / "a.tsv", *words)[0] == 0
    _, encoded, _ = call_program("tokenizer", "encode", output, input="ψa".encode())
    assert "ψ" in encoded, "a letter of the other side has a piece"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "TEXT"], 2, "Missing option '--output'"),
        (["train", *NEW], 2, "Missing argument 'CORPUS ...'"),
        (["train", "nowhere", *NEW], 1, "error: cannot read nowhere: No such file"),
        (["train", "no.{en,de}", *NEW], 1, "error: there is no file no.en"),
        (["train", "BLANK", *NEW], 1, "the tokenizer cannot be trained: the training text is blank"),
        (["train", "BAD", *NEW], 1, "line 2, byte 3: found the byte 0xFF"),
        (["train", "TEXT", "--output", "DIRECTORY"], 1, "cannot be written (it is a directory)"),
        (["train", "TEXT", "--output", "TEXT/x", "--set", "vocab_size=300"], 1, "cannot be written"),
        (["train", "TEXT", *NEW, "--set", "vocab=9"], 1, "tokenizer.vocab: there is no such setting"),
        (["train", "TEXT", *NEW, "--set", "vocab_size=9"], 1, "tokenizer.vocab_size: input should be"),
        (["train", "TEXT", *NEW, "--set", "joint=false"], 1, "joint: one model is trained here"),
        (["train", "TEXT", *NEW, "--set", "model.d_model=8"], 1, "model.d_model: only settings of"),
        (["train", "TEXT", *NEW, "--set", "bpe"], 1, "`bpe`: expected KEY=VALUE"),
        (["encode"], 2, "Missing argument 'MODEL'"),
        (["encode", "nowhere"], 1, "error: cannot read the tokenizer nowhere: No such file"),
        (["encode", "TEXT"], 1, "is damaged or not a SentencePiece model"),
        (["encode", "DIRECTORY"], 1, "has no tokenizer; expected tokenizer.model, or"),
        (["encode", "MODEL", "nowhere"], 1, "error: cannot read nowhere: No such file"),
        (["decode", "MODEL", "--ids", "-"], 1, "stdin, line 2: found '320', expected piece ids"),
        (["decode", "MODEL", "--ids", "TEXT"], 1, "line 1: found 'a', expected piece ids from 0 to 319"),
        (["decode", "MODEL", "--side", "left"], 2, "'left' is not one of 'source', 'target'"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(
    model: Path, call_program: Program, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    places = {name: tmp_path / name for name in ("TEXT", "BLANK", "BAD", "NEW", "TEXT/x")}
    places |= {"MODEL": model, "DIRECTORY": tmp_path}
    places["TEXT"].write_text("\n".join(LINES))
    places["BLANK"].write_text("\n \n")
    places["BAD"].write_bytes(b"good\nba\xffd\n")
    arguments = [places.get(word, word) for word in words]
    found, output, errors = call_program("tokenizer", *arguments, input=b"5 6\n320\n")
    assert found == code
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
    assert not places["NEW"].exists()
    assert output.count("\n") <= 1
