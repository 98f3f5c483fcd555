"""What is written for a line, in every format."""

import json
import math

import pytest

from translator.translation.result import TranslatedLine, Translation, format_translations

LINE = TranslatedLine(
    "eine Zeile\r",
    (
        Translation("a\tline", -1.25, -0.5, ("▁a", "\t", "line"), ((0, 0), (1, 1))),
        Translation("one\nline", -2.0, math.nan),
    ),
    ("long",),
    1.23456,
    "ctranslate2",
)


def test_text_is_the_best_translation_with_the_end_of_its_source() -> None:
    assert format_translations(LINE, 7, "text") == "a\tline\r"
    assert format_translations(TranslatedLine("x", ()), 7, "text") == ""
    assert format_translations(TranslatedLine("x", (Translation("a\nb"),)), 7, "text") == "a b"


def test_tsv_has_a_row_for_each_translation_and_one_where_there_is_none() -> None:
    assert format_translations(LINE, 7, "tsv") == "7\t1\t-0.5\t-1.25\ta line\n7\t2\t\t-2.0\tone line"
    assert format_translations(TranslatedLine("x", ()), 8, "tsv") == "8\t1\t\t\t"


def test_json_has_all_that_is_known() -> None:
    written = format_translations(LINE, 7, "jsonl")
    assert "\n" not in written
    assert json.loads(written) == {
        "source": "eine Zeile\r",
        "hypotheses": [
            {
                "text": "a\tline",
                "score": -0.5,
                "log_probability": -1.25,
                "pieces": ["▁a", "\t", "line"],
                "alignment": "0-0 1-1",
            },
            {"text": "one\nline", "score": None, "log_probability": -2.0, "pieces": [], "alignment": ""},
        ],
        "seconds": 1.235,
        "engine": "ctranslate2",
        "warnings": ["long"],
    }


@pytest.mark.parametrize("source", ["\u2028\0\x85🙂", "half \ud800"])
def test_json_lines_are_utf8_whatever_the_source_holds(source: str) -> None:
    written = format_translations(TranslatedLine(source, ()), 1, "jsonl")
    assert json.loads(written.encode("utf-8"))["source"] == source
    assert len(written.encode().split(b"\n")) == 1
