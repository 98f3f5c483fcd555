"""Word links in Pharaoh format: what is read, and what is refused with file and line."""

from pathlib import Path

import pytest

from translator.errors import DataError
from translator.text import AlignmentFile, parse_links


@pytest.mark.parametrize(
    ("line", "links"),
    [
        ("", set()),
        ("  \r", set()),
        ("0-0 1-2", {(0, 0), (1, 2)}),
        ("1-2\t0-0  1?2 0?1\r", {(0, 0), (1, 2), (0, 1)}),
    ],
)
def test_links_are_pairs_of_words(line: str, links: set[tuple[int, int]]) -> None:
    assert parse_links(line, "a dog", "ein\u00a0Hund da", "here") == links


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("0-0 1:2", "found '1:2', expected links such as 0-2"),
        ("0-0-1", "found '0-0-1', expected"),
        ("-1-0", "found '-1-0', expected"),
        ("a-b", "found 'a-b', expected"),
        ("٠-٠", "found '٠-٠', expected"),
        ("x" * 90, f"found '{'x' * 40}', expected"),
        ("2-0", "found the link 2-0, expected words from 0 to 1 of the source and 2 of the target; align the text as"),
        ("1-3", "found the link 1-3, expected words from 0 to 1 of the source and 2 of the target"),
    ],
)
def test_what_is_no_link_is_named(line: str, error: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_links(line, "a dog", "ein Hund da", "file, line 7")
    assert str(caught.value).startswith(f"file, line 7: {error}")


def test_a_blank_side_has_no_words() -> None:
    with pytest.raises(DataError, match="found the link 0-0, expected no link, since a side has no words"):
        parse_links("0-0", " ", "ein", "here")


def test_a_file_names_line_and_corpus() -> None:
    file = AlignmentFile(Path("a.links"), "train.{en,de}")
    assert file.parse("0-0", 41, ("a", "ein")) == {(0, 0)}
    with pytest.raises(DataError, match=r"a\.links, line 1,042 \(train\.\{en,de\}\): found the link 0-1"):
        file.parse("0-1", 1041, ("a", "ein"))
    file.require_lines(3, 3)
    with pytest.raises(DataError, match=r"a\.links has 2 lines, expected 3, one for each pair of train"):
        file.require_lines(2, 3)
