"""Every command reads text as people have it: compressed in files and on stdin, in archives and exchange formats."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

Program = Callable[..., tuple[int, str, str]]
GREEDY = ("--set", "beam_size=1")
TEXT = b"a dog runs\nthe cat sleeps\n"
PACKED = {
    "gz": gzip.compress(TEXT),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zst": pyarrow.Codec("zstd").compress(TEXT, asbytes=True),
}


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_input_is_translated_scored_and_encoded(
    tiny_run: Path, tmp_path: Path, call_program: Program, kind: str
) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / f"a.{kind}"
    plain.write_bytes(TEXT)
    packed.write_bytes(PACKED[kind])
    expected = call_program("translate", tiny_run, plain, *GREEDY)[1]
    assert expected.count("\n") == 2
    assert call_program("translate", tiny_run, packed, *GREEDY)[1] == expected
    assert call_program("translate", tiny_run, *GREEDY, input=PACKED[kind])[1] == expected
    ids = call_program("tokenizer", "encode", tiny_run, plain)[1]
    assert call_program("tokenizer", "encode", tiny_run, input=PACKED[kind])[1] == ids
    scores = call_program("score", tiny_run, "--source", plain, "--target", plain)[1]
    assert call_program("score", tiny_run, "--source", "-", "--target", packed, input=PACKED[kind])[1] == scores
    code, _, errors = call_program("evaluate", "--hypothesis", packed, "--reference", packed)
    assert (code, "error" in errors) == (0, False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("ein Hund\n".encode("utf-16-le") * 3, "is UTF-16LE; expected UTF-8. Convert it: `iconv -f UTF-16LE -t UTF-8`"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF document, not text; expected lines of text in UTF-8"),
        (b"PK\x03\x04\x14\x00", "is a zip archive (or an office document), not text"),
        (PACKED["xz"][:-8], ": the xz data "),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_by_every_command(
    tiny_run: Path, tmp_path: Path, call_program: Program, data: bytes, message: str
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(TEXT)
    bad.write_bytes(data)
    for words, name in [
        (("translate", tiny_run, bad), str(bad)),
        (("translate", tiny_run), "stdin"),
        (("score", tiny_run, "--source", bad, "--target", good), str(bad)),
        (("tokenizer", "encode", tiny_run, bad), str(bad)),
        (("tokenizer", "train", bad, "--output", tmp_path / "x.model"), str(bad)),
        (("evaluate", "--hypothesis", bad, "--reference", good), str(bad)),
        (("data", "prepare", f"data.train=[{bad},{good}]", f"run={tmp_path / 'run'}"), str(bad)),
    ]:
        code, _, errors = call_program(*words, input=data)
        assert code == 1, words
        assert f"error: {name}" in errors and message in errors and "LATIN1" not in errors, words


def test_archives_and_tmx_are_prepared(tmp_path: Path, call_program: Program) -> None:
    pairs = [(f"a dog number {n}", f"ein Hund Nummer {n}") for n in range(60)]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for side, language in enumerate(("en", "de")):
            archive.writestr(f"Books.en-de.{language}", "".join(f"{pair[side]}\n" for pair in pairs))
    sides = '<tuv xml:lang="EN-US"><seg>{}</seg></tuv><tuv xml:lang="DE"><seg>{}</seg></tuv>'
    units = "".join(f"<tu>{sides.format(*pair)}</tu>\n" for pair in pairs)
    (tmp_path / "a.tmx").write_text(f'<tmx version="1.4"><header srclang="EN-US"/><body>{units}</body></tmx>')
    for name in ("a.zip", "a.tmx"):
        run = tmp_path / f"run-{name}"
        words = [f"data.train={tmp_path / name}", "data.held_out=5", "tokenizer.vocab_size=300", f"run={run}"]
        code, _, errors = call_program("data", "prepare", *words)
        assert code == 0, errors
        assert "training pairs: 60 read, of which 5 held out for validation, 55 kept" in errors
        code, page, _ = call_program("data", "report", run)
        assert code == 0 and ": en to de, 300 pieces" in page


def test_unequal_files_to_score_name_the_line(tmp_path: Path, call_program: Program) -> None:
    lines = [f"{'word ' * (1 + number * 7 % 13)}{number}\n" for number in range(200)]
    (tmp_path / "a").write_text("".join(lines))
    (tmp_path / "b").write_text("".join(lines[:80] + lines[81:]))
    code, _, errors = call_program("evaluate", "--hypothesis", tmp_path / "a", "--reference", tmp_path / "b")
    assert code == 1 and "has 200 lines but" in errors
    assert "line 81 is the first that looks shifted" in errors
