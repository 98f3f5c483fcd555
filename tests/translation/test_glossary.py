"""Where lines hold the terms of a glossary, and what is wrong with a file of them."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.errors import DataError
from translator.translation.glossary import Glossary


def found(glossary: Glossary, text: str) -> list[str]:
    return [term.source for term in glossary.find(text)]


@pytest.mark.parametrize(
    ("terms", "text", "expected"),
    [
        (["cat"], "A cat, a dog", ["cat"]),
        (["cat"], "concatenate the cats", []),
        (["cat"], "cat", ["cat"]),
        (["cat"], "the cat's (cat) cat-like", ["cat"]),
        (["machine"], "machine_name machine2", []),
        (["cat"], "Cat CAT", ["cat"]),
        (["US"], "us Us", []),
        (["US", "us"], "The US", ["US"]),
        (["US", "us"], "to us", ["us"]),
        (["us", "US"], "of Us", ["us"]),
        (["New York"], "in new york", []),
        (["New York"], "in New\u00a0 York", ["New York"]),
        (
            ["machine learning", "machine", "learning"],
            "machine learning and a machine",
            ["machine learning", "machine"],
        ),
        (["a b", "b c d"], "a b c d", ["a b"]),
        (["dog", "cat"], "cat dog cat", ["cat", "dog"]),
        (["C++"], "in C++.", ["C++"]),
        (["C"], "in C++.", ["C"]),
        (["café"], "a cafe\u0301", ["café"]),
        (["cafe"], "a café", []),
        (["नम"], "नमस्ते", []),
        (["नमस्ते"], "नमस्ते!", ["नमस्ते"]),
        (["技術", "AI"], "最新のAI技術です", ["AI", "技術"]),
        (["機械学習", "機械"], "機械学習と機械", ["機械学習", "機械"]),
        (["ภาษา"], "ภาษาไทย", ["ภาษา"]),
        (["cat"], "", []),
    ],
)
def test_terms_are_found(terms: list[str], text: str, expected: list[str]) -> None:
    assert found(Glossary([(term, "x") for term in terms]), text) == expected


@given(
    terms=st.lists(st.lists(st.sampled_from(["a", "bb", "c", "+"]), min_size=1, max_size=3).map(" ".join), max_size=6),
    words=st.lists(st.sampled_from(["a", "bb", "c", "+", "dd"]), max_size=12),
)
def test_the_longest_term_at_each_position_counts(terms: list[str], words: list[str]) -> None:
    expected: dict[str, None] = {}
    rest = list(words)
    while rest:
        matching = [term for term in terms if rest[: len(term.split())] == term.split()]
        longest = max(matching, key=lambda term: len(term.split()), default=None)
        if longest is not None:
            expected[longest] = None
        del rest[: len(longest.split()) if longest else 1]
    assert found(Glossary([(term, "x") for term in terms]), "  ".join(words)) == list(expected)


def test_a_table_is_read(tmp_path: Path) -> None:
    file = tmp_path / "terms.tsv.gz"
    file.write_bytes(gzip.compress("\ufeffdog\tHund\r\n\nNew York \t New York\ndog\tHund\n".encode()))
    assert Glossary.read(file).terms == (("dog", "Hund"), ("New York", "New York"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog\tHund\ndog Hund\n", "line 2: found 1 column, expected 2"),
        ("dog\tHund\tnoun\n", "line 1: found 3 columns, expected 2"),
        ("dog\t \n", "line 1: found no target term"),
        ("\tHund\n", "line 1: found no source term"),
        ("dog\tHund\n\ndog\tKöter\n", "line 3: 'dog' -> 'Köter' contradicts 'dog' -> 'Hund' (line 1)"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        Glossary.read(file)
    assert f"{file}, {message}" in str(caught.value)


def test_terms_from_python_are_checked_as_well() -> None:
    with pytest.raises(DataError, match="the glossary, term 2: 'dog' -> 'b' contradicts"):
        Glossary([("dog", "a"), ("dog", "b")])
    assert Glossary({"dog": "Hund"}).terms == (("dog", "Hund"),)


def test_the_digest_is_that_of_the_terms() -> None:
    first = Glossary([("a", "b"), ("c", "d")])
    assert first.digest == Glossary([("c", "d"), ("a", "b")]).digest
    assert first.digest != Glossary([("a", "b"), ("c", "e")]).digest
