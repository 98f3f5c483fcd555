"""Subtitles: which lines are text, and what stays as it is."""

import pytest

from translator.serving.documents import open_document
from translator.serving.subtitles import open_subtitles

FILE = """1
00:00:01,000 --> 00:00:02,000
A <i>dog</i>
runs.

2
00:00:03,000 --> 00:00:04,000
Yes.
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_times_numbers_and_line_ends_stay(end: str) -> None:
    texts, markup, rebuild = open_document("a.SRT", FILE.replace("\n", end).encode(), "en", "de")
    assert (texts, markup) == (["A <i>dog</i> runs.", "Yes."], "subtitle")
    expected = FILE.replace("A <i>dog</i>\nruns.", "Ein Hund").replace("Yes", "Ja")
    assert rebuild(["Ein Hund", "Ja."]).decode() == expected.replace("\n", end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\n0:00:01.000 --> 0:00:02.000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo", ["One", "Two"]),
        ("00:00:01,000 --> 00:00:02,000\nOne\n00:00:03,000 --> 00:00:04,000\nTwo\n\n\n", ["One", "Two"]),
        ("1\n00:00:01,000 --> 00:00:02,000\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n", ["Two"]),
        ("1\n00:00:01,000 --> 00:00:02,000\nOf\n12\nmen\n", ["Of 12 men"]),
        ("1\n00:00:01,000 --> 00:00:02,000\nOne\n\nmore\n \n2\n00:00:03,000 --> 00:00:04,000\n1984\n", ["One", "more"]),
        ("a title\n\n1\n00:00:01,000 --> 00:00:02,000\n- One\n- Two\n", ["- One - Two"]),
        ("no subtitle", []),
    ],
)
def test_a_cue_ends_where_the_next_begins(text: str, expected: list[str]) -> None:
    texts, rebuild = open_subtitles(text)
    assert texts == expected
    assert rebuild(texts).decode() == text.replace("Of\n12\nmen", "Of 12 men").replace("One\n- Two", "One - Two")
