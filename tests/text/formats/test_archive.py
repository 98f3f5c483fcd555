"""Zip archives with both sides of a corpus, and hostile ones."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from translator.errors import DataError
from translator.text import open_corpus
from translator.text.formats import archive

SOURCE = "".join(f"a dog {'word ' * (number * 7 % 13)}{number * 7919}\n" for number in range(3000))
TARGET = SOURCE.replace("a dog", "ein Hund")


def pack(file: Path, members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as made:
        for name, text in members.items():
            made.writestr(name, text)
    return file


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_opus_archives_are_read(tmp_path: Path, method: int) -> None:
    members: dict[str, str | bytes] = {
        "README": "about", "LICENSE": "x", "Books.en-de.de": TARGET, "Books.en-de.en": SOURCE,
        "Books.en-de.ids": "1", "docs/": "",
    }  # fmt: skip
    file = pack(tmp_path / "a.zip", members, method)
    corpus = open_corpus(str(file))
    assert corpus.languages == ("en", "de")
    assert list(corpus.pairs()) == list(zip(SOURCE.splitlines(), TARGET.splitlines(), strict=True))
    assert next(open_corpus(str(file), "de", "en").pairs()) == ("ein Hund 0", "a dog 0")


def test_members_may_be_in_folders_and_compressed(tmp_path: Path) -> None:
    import gzip

    file = pack(tmp_path / "a.zip", {"x/a.eng.gz": gzip.compress(b"one\n"), "x/a.deu": "eins\n"})
    assert list(open_corpus(str(file), "en", "de").pairs()) == [("one", "eins")]


def test_unequal_members_name_the_line(tmp_path: Path) -> None:
    file = pack(tmp_path / "a.zip", {"a.en": SOURCE, "a.de": TARGET + "mehr\n"})
    with pytest.raises(DataError, match=r"a.zip: a.en has 3,000 lines but .*a.zip: a.de has 3,001; line 3,001 is the"):
        list(open_corpus(str(file)).pairs())


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../x.en": "a", "x.de": "b"}, r"a.zip: the name of the member '../../x.en' leads outside"),
        ({"/etc/x.en": "a", "x.de": "b"}, r"'/etc/x.en' leads outside the archive; refused"),
        ({"C:\\x.en": "a", "x.de": "b"}, r"leads outside the archive"),
        ({"a.en": "a", "a.de": "b", "a.fr": "c"}, r"a.zip: found the members a.en, a.de, a.fr; expected two whose"),
        ({"a.en": "a", "b.en": "a", "a.de": "b"}, r"found the members a.en, b.en, a.de; expected two"),
        ({"README": "a"}, r"found the members README; expected two whose endings are languages"),
        ({}, r"found the members none"),
        ({"a.en": b"\x00\x01\x02\x03" * 100, "a.de": "b"}, r"a.zip: a.en is binary data, not text"),
        ({"a.en": "good\n", "a.de": b"\xff\n"}, r"a.zip: a.de, line 1, byte 1: found the byte 0xFF"),
    ],
)
def test_mistakes_give_a_sentence(tmp_path: Path, members: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(open_corpus(str(pack(tmp_path / "a.zip", members))).pairs())


def test_truncated_and_damaged_archives_give_a_sentence(tmp_path: Path) -> None:
    file = pack(tmp_path / "a.zip", {"a.en": SOURCE, "a.de": TARGET})
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="a.zip: not a readable zip archive"):
        open_corpus(str(file))
    file.write_bytes(whole[:3000] + b"\xff\x00\xff" + whole[3003:])
    with pytest.raises(DataError, match=r"a.zip: a.en, line [\d,]+: the zip data are damaged"):
        list(open_corpus(str(file)).pairs())
    file.write_bytes(b"")
    with pytest.raises(DataError, match="a.zip: not a readable zip archive"):
        open_corpus(str(file))


def test_zip_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_SPARED_BYTES", 1 << 20)
    file = pack(tmp_path / "a.zip", {"a.en": "\n" * (4 << 20), "a.de": "b"})
    with pytest.raises(DataError, match=r"a.zip: a.en unpacks to 4,194,304 bytes, more than 500 times its size"):
        open_corpus(str(file))


def test_encrypted_members_are_named(tmp_path: Path) -> None:
    file = pack(tmp_path / "a.zip", {"a.en": "a", "a.de": "b"})
    data = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(signature)
        data[start + offset] |= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"a.zip: a.en is encrypted"):
        open_corpus(str(file))
