"""Lines of JSON: what they may say, and how a mistake is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.errors import ConfigError, DataError
from translator.translation.constrained_line import ConstrainedLine, read_json_line


def test_all_fields_are_read() -> None:
    raw = {"text": "A dog\nruns.", "prefix": "Ein", "required": ["Hund"], "banned": ["Katze", "Kuh"], "to": "de"}
    expected = ConstrainedLine("A dog runs.", "Ein", ("Hund",), ("Katze", "Kuh"), "de", "in.jsonl, line 3")
    assert read_json_line(json.dumps(raw), "in.jsonl, line 3") == expected


def test_fields_may_be_missing_or_null() -> None:
    raw = '{"text": "A dog.", "prefix": null, "required": null, "banned": [], "to": null}'
    assert read_json_line(raw, "") == read_json_line('{"text": "A dog."}', "") == ConstrainedLine("A dog.")


@pytest.mark.parametrize("raw", ["", "  ", "\r", '{"text": ""}'])
def test_a_line_without_text_is_blank(raw: str) -> None:
    assert read_json_line(raw, "") == ConstrainedLine("")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("A dog.", "in, line 2: not JSON (Expecting value, column 1); expected {"),
        ('{"text": "A dog."', "in, line 2: not JSON (Expecting ',' delimiter, column 18)"),
        ('["A dog."]', 'in, line 2: found ["A dog."], expected an object such as {'),
        ("{}", "in, line 2, text: the field is missing"),
        ('{"text": null}', "in, line 2, text: found null, expected a text"),
        ('{"text": 1}', "in, line 2, text: found 1, expected a text"),
        ('{"text": "a", "to": ["de"]}', 'in, line 2, to: found ["de"], expected a text'),
        ('{"text": "a", "required": "Hund"}', 'in, line 2, required: found "Hund", expected a list of texts'),
        ('{"text": "a", "banned": [1]}', "in, line 2, banned: found [1], expected a list of texts"),
        ('{"text": "a", "requird": []}', "in, line 2, requird: there is no such field"),
        ('{"text": "a", "requird": []}', "did you mean required?"),
        ('{"text": "a", "text": "b"}', "in, line 2, text: the field is there twice"),
        ('{"text": "a", "prefix": "x\\ud800"}', "in, line 2, prefix: found 'x\\ud800', half of a character"),
        ('{"text": "a", "required": ["b", "\\udc00"]}', "in, line 2, required: found '\\udc00', half of a character"),
        ("[" * 100_000, "in, line 2: cannot be read as JSON ("),
        ("1" * 5000, "in, line 2: cannot be read as JSON ("),
    ],
)
def test_mistakes_are_named_with_line_and_field(raw: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_json_line(raw, "in, line 2")
    assert message in str(caught.value)


@given(st.text())
def test_any_line_is_read_or_refused(raw: str) -> None:
    try:
        read_json_line(raw, "in, line 1")
    except DataError as error:
        assert str(error).startswith("in, line 1")


def test_phrases_are_a_list() -> None:
    with pytest.raises(ConfigError, match="required: found the text 'Hund', expected a list"):
        ConstrainedLine("A dog.", required="Hund")
