"""Tables as people have them: separators, quotes, header lines, blank lines and rows of another width."""

from pathlib import Path
from typing import Any

import pytest

from translator.errors import DataError
from translator.text import Corpus, open_corpus
from translator.text.formats.table import TableLayout

DOGS = [("a dog", "ein Hund"), ("a cat", "eine Katze")]
NONE = (None, None)


def table(tmp_path: Path, name: str, text: str, languages: Any = NONE, **layout: Any) -> Corpus:
    (tmp_path / name).write_text(text, newline="")
    return open_corpus(f"{tmp_path}/{name}", *languages, layout=TableLayout(**layout))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_csv_is_found(tmp_path: Path, separator: str) -> None:
    text = f"a dog{separator}ein Hund\na cat{separator}eine Katze\n"
    assert list(table(tmp_path, "a.csv", text).pairs()) == DOGS


def test_a_separator_that_also_occurs_in_text_is_not_the_one(tmp_path: Path) -> None:
    text = "a dog, and;ein Hund, und, und\na cat;eine Katze\n"
    assert list(table(tmp_path, "a.csv", text).pairs())[0] == ("a dog, and", "ein Hund, und, und")


def test_what_excel_writes_is_read(tmp_path: Path) -> None:
    text = '\ufeffsep=;\r\nsource;target\r\n"a ""dog""";"ein\r\nHund"\r\n'
    assert list(table(tmp_path, "a.csv", text).pairs()) == [('a "dog"', "ein Hund")]


@pytest.mark.parametrize("separator", ["semicolon", ";"])
def test_a_separator_by_name(tmp_path: Path, separator: str) -> None:
    assert list(table(tmp_path, "a.tsv", "a, dog;ein Hund\n", separator=separator).pairs()) == [("a, dog", "ein Hund")]


def test_quotes_are_text_in_tsv_unless_it_is_said(tmp_path: Path) -> None:
    text = '"Hello."\t"Hallo."\n'
    assert list(table(tmp_path, "a.tsv", text).pairs()) == [('"Hello."', '"Hallo."')]
    assert list(table(tmp_path, "a.tsv", text, quotes=True).pairs()) == [("Hello.", "Hallo.")]
    assert list(table(tmp_path, "a.csv", 'say "no",sag "nein"\n', quotes=False).pairs()) == [('say "no"', 'sag "nein"')]


@pytest.mark.parametrize(
    ("header", "languages", "found"),
    [
        ("en\tde", NONE, ("en", "de")),
        ("English\tGerman", NONE, ("en", "de")),
        ("eng\tDeutsch", ("en", "de"), ("en", "de")),
        ("en-US\tde_DE", NONE, ("en", "de")),
        ("Source\tTARGET", NONE, ("source", "target")),
        ("EN\tDE", ("en", "de"), ("en", "de")),
    ],
)
def test_header_lines_are_known_by_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, languages: Any, found: Any
) -> None:
    corpus = table(tmp_path, "a.tsv", f"{header}\r\na dog\tein Hund\r\na cat\teine Katze\r\n", languages)
    assert (list(corpus.pairs()), corpus.languages) == (DOGS, found)
    assert ("is taken for a header line" in capsys.readouterr().err) == (found[0] != "source")


def test_header_lines_choose_columns_in_any_order(tmp_path: Path) -> None:
    text = "id\tgerman\tenglish\n1\tein Hund\ta dog\n"
    assert list(table(tmp_path, "a.tsv", text, ("en", "de")).pairs()) == DOGS[:1]
    assert list(table(tmp_path, "a.tsv", text).pairs()) == [("ein Hund", "a dog")]


def test_header_lines_can_be_said(tmp_path: Path) -> None:
    text = "Satz A\tSatz B\na dog\tein Hund\na cat\teine Katze\n"
    assert list(table(tmp_path, "a.tsv", text, header=True).pairs()) == DOGS
    assert len(list(table(tmp_path, "a.tsv", text).pairs())) == 3
    assert len(list(table(tmp_path, "a.tsv", "en\tde\na dog\tein Hund\n", header=False).pairs())) == 2


def test_text_is_no_header_line(tmp_path: Path) -> None:
    for first in ("Hi\tHallo", "no\tno", "Is it so?\tso", "I\tich"):
        assert len(list(table(tmp_path, "a.tsv", f"{first}\na dog\tein Hund\n").pairs())) == 2, first


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "\na dog\tein Hund\n\n  \r\na cat\teine Katze\n\n"),
        ("a.csv", "\na dog,ein Hund\n\n \r\na cat,eine Katze\n\n"),
        (
            "a.jsonl",
            '\n{"source": "a dog", "target": "ein Hund"}\n\n \n{"source": "a cat", "target": "eine Katze"}\n\n',
        ),
    ],
)
def test_blank_lines_are_skipped_and_counted(tmp_path: Path, name: str, text: str) -> None:
    corpus = table(tmp_path, name, text)
    for _ in range(2):
        assert list(corpus.pairs()) == DOGS
        assert list(corpus.skipped.values()) == [4]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "a\tb\nc\td\te\n", r"a.tsv, line 2: found 3 columns, expected 2, as in line 1; .* by tabs"),
        ("a.tsv", "en\tde\na\tb\n\nc\td\te\n", r"a.tsv, line 4: found 3 columns, expected 2"),
        ("a.csv", "a,b\nc,d, and e\n", r"a.csv, line 2: found 3 columns.*enclose a field that contains the separator"),
        ("a.csv", 'a,b\n"c\nd",e,f\n', r"a.csv, line 2: found 3 columns"),
        ("a.tsv", "a, b\n", r"a.tsv, line 1: found 1 column, expected at least 2, separated by tabs; set data.sep"),
        ("a.csv", 'a,b\nsay "no,c\n"x"y,z\n', r"a.csv, line 3: not valid CSV .*set data.quotes=false"),
    ],
)  # fmt: skip
def test_rows_of_another_width_are_refused_with_their_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(table(tmp_path, name, text).pairs())


def test_long_fields_are_read(tmp_path: Path) -> None:
    long = "word " * 40_000
    assert list(table(tmp_path, "a.csv", f'"{long}",kurz\nx,y\n').pairs())[0] == (long, "kurz")


def test_the_layout_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    text = "en\tde\na dog\tein Hund\n"
    plain, said = table(tmp_path, "a.tsv", text), table(tmp_path, "a.tsv", text, header=False)
    assert plain.fingerprint() != said.fingerprint()
