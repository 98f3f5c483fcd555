"""Sets by their names in mtdata, with a stand-in for the library, so that nothing is downloaded."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from translator.errors import DataError
from translator.text import open_corpus

ROWS: list[Any] = [("Guten Tag.", "Good day."), ("Zwei\nZeilen", "two lines", "extra"), ("", None)]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A stand-in for mtdata 0.5, which knows one set; its parts can be changed."""
    own = SimpleNamespace(rows=ROWS, downloads=[], error=None)

    class DatasetId(tuple[str, ...]):
        @classmethod
        def parse(cls, name: str) -> "DatasetId":
            parts = name.split("-")
            if len(parts) not in (4, 5):
                raise Exception(f"Dataset ID expected in format: <group>-<name>-...; but given {name}.\nMore")
            return cls(parts)

        @property
        def langs(self) -> tuple[str, ...]:
            return self[3:]

    class Cache:
        def __init__(self, root: Path) -> None:
            assert root == tmp_path

        def get_entry(self, entry: Any) -> str:
            if own.error is not None:
                raise own.error
            own.downloads.append(entry.name)
            return "path"

    class Parser:
        def __init__(self, paths: str, ext: str | None, ent: Any) -> None:
            assert (paths, ext, ent.name) == ("path", None, "books")

        def read_segs(self, show_pbar: bool) -> Iterator[Any]:
            assert not show_pbar
            for row in own.rows:
                if isinstance(row, Exception):
                    raise row
                yield row

    known = DatasetId.parse("OPUS-books-v1-deu-eng")
    single = DatasetId.parse("OPUS-books-v1-deu")
    entry = SimpleNamespace(name="books", in_ext="")
    parts = {
        "mtdata": {"cache_dir": str(tmp_path)},
        "mtdata.cache": {"Cache": Cache},
        "mtdata.entry": {"DatasetId": DatasetId},
        "mtdata.index": {"INDEX": {known: entry, single: entry}},
        "mtdata.parser": {"Parser": Parser},
    }
    for name, values in parts.items():
        module = ModuleType(name)
        module.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, module)
    return own


def test_a_set_is_downloaded_and_read(library: SimpleNamespace) -> None:
    corpus = open_corpus("mtdata:OPUS-books-v1-deu-eng")
    expected = [("Guten Tag.", "Good day."), ("Zwei Zeilen", "two lines"), ("", "")]
    assert list(corpus.pairs()) == list(corpus.pairs()) == expected
    assert corpus.languages == ("deu", "eng") and library.downloads == ["books"]
    assert corpus.fingerprint() == open_corpus("mtdata:OPUS-books-v1-deu-eng").fingerprint()
    swapped = open_corpus("mtdata:OPUS-books-v1-deu-eng", "en", "de")
    assert list(swapped.pairs()) == [(target, source) for source, target in expected]
    assert swapped.languages == ("en", "de") and swapped.fingerprint() != corpus.fingerprint()


@pytest.mark.parametrize(
    ("name", "languages", "message"),
    [
        ("OPUS-films-v1-deu-eng", (), "mtdata knows no set OPUS-films-v1-deu-eng; `mtdata list"),
        ("books", (), r"mtdata:books is no name of a set \(Dataset ID expected in format: .* given books.\); `mtdata"),
        ("OPUS-books-v1-deu", (), "mtdata:OPUS-books-v1-deu has 1 language; expected a parallel corpus"),
        ("OPUS-books-v1-deu-eng", ("fr", "de"), "is in deu and eng, but data.source_language and .* are fr and de"),
    ],
)
def test_wrong_names_are_explained(
    library: SimpleNamespace, name: str, languages: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_corpus(f"mtdata:{name}", *languages)
    assert not library.downloads


def test_failures_are_explained(library: SimpleNamespace) -> None:
    library.rows = [ROWS[0], Exception("have unequal number of segments")]
    with pytest.raises(DataError, match="mtdata:OPUS-books-v1-deu-eng, pair 2: have unequal number of segments"):
        list(open_corpus("mtdata:OPUS-books-v1-deu-eng").pairs())
    library.error = ConnectionError("no route to the host\nmore")
    with pytest.raises(DataError, match="cannot download mtdata:OPUS-books-v1-deu-eng: no route to the host; check"):
        open_corpus("mtdata:OPUS-books-v1-deu-eng")


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mtdata", None)
    with pytest.raises(DataError, match=r"needs the library mtdata; install it \(`pip install mtdata`\)"):
        open_corpus("mtdata:OPUS-books-v1-deu-eng")
