"""Warnings if references and output differ in tokenisation or case, or if output is no translation."""

import re

import pytest

from translator.evaluation import faults, mismatches

RAW = ["Ein Hund, der rennt.", "Zwei Männer reden, lachen und trinken 1,5 Liter Bier.", "Ja!"]
TOKENISED = ["Ein Hund , der rennt .", "Zwei Männer reden , lachen und trinken 1,5 Liter Bier .", "Ja !"]
LOWER = [line.lower() for line in RAW]


@pytest.mark.parametrize("lines", [RAW, TOKENISED, LOWER, ["一只狗在跑。"], [""]])
def test_like_text_needs_no_warning(lines: list[str]) -> None:
    assert mismatches(lines, lines) == []


@pytest.mark.parametrize(
    ("hypotheses", "references", "beginning"),
    [
        (RAW, TOKENISED, "the reference looks tokenised"),
        (TOKENISED, RAW, "the translations look tokenised"),
        (RAW, LOWER, "the reference looks lower-cased"),
        (LOWER, RAW, "the translations look lower-cased"),
    ],
)
def test_unlike_text_is_named(hypotheses: list[str], references: list[str], beginning: str) -> None:
    (message,) = mismatches(hypotheses, references)
    assert message.startswith(beginning)
    assert "scores will be too low" in message


def test_french_punctuation_does_not_look_tokenised() -> None:
    french = ["Où est le chien ? Il court : vite !", "Oui, le voilà."]
    assert mismatches(french, RAW) == []


def test_both_differences_are_named() -> None:
    assert len(mismatches(RAW, [line.lower() for line in TOKENISED])) == 2


SOURCES = [f"the {noun} number {number} is here" for number in range(10) for noun in ("dog", "cat")]
REFERENCES = [f"{noun} Nummer {number} ist hier" for number in range(10) for noun in ("der Hund", "die Katze")]


def test_good_translations_have_no_faults() -> None:
    assert faults(SOURCES, REFERENCES, REFERENCES) == {}
    assert faults(SOURCES, REFERENCES, [f"{line} !" for line in reversed(REFERENCES)]) == {}
    assert faults([], [], []) == {}


@pytest.mark.parametrize(
    ("hypotheses", "name", "sentence"),
    [
        (SOURCES, "copies", "20 of 20 of the translations are copies"),
        ([" "] * 20, "empty", "20 of 20 of the translations are empty"),
        ([f"{line} mit mit mit mit mit mit mit mit mit" for line in REFERENCES], "loops", "repeat a word"),
        ([f"{line}{'在公园里' * 9}" for line in REFERENCES], "loops", "repeat a word"),
        ([f"{line} {' und eine Frau' * 4}" for line in REFERENCES], "loops", "repeat a word"),
        ([" ".join(REFERENCES[i:] + REFERENCES[:i]) for i in range(20)], "overlong", "three times as long"),
        (["ein Mann"] * 20, "alike", r"20 different sources have only 1 different translation \("),
        (["ein Mann", "eine Frau"] * 10, "alike", r"only 2 different translations \(the references: 20\)"),
    ],
)
def test_output_that_is_no_translation_is_named(hypotheses: list[str], name: str, sentence: str) -> None:
    found = faults(SOURCES, REFERENCES, hypotheses)
    assert list(found) == [name]
    assert re.search(sentence, found[name])


def test_it_takes_most_of_the_lines() -> None:
    for few, is_fault in ((10, False), (11, True)):
        for hypotheses in (SOURCES, [""] * 20, ["ja " * 9] * 20):
            mixed = [*hypotheses[:few], *REFERENCES[few:]]
            assert bool(faults(SOURCES, REFERENCES, mixed)) == is_fault


def test_what_the_references_do_is_no_fault() -> None:
    assert faults(SOURCES, SOURCES, SOURCES) == {}
    assert faults(SOURCES, [""] * 20, [""] * 20) == {}
    assert faults(SOURCES, ["ja"] * 20, ["ja"] * 20) == {}
    loops = [f"{number} ........................" for number in range(20)]
    assert faults(SOURCES, loops, loops) == {}
    names = [f"Name {number}" for number in range(12)]
    assert faults(names + SOURCES[:4], names + REFERENCES[:4], names + SOURCES[:4]) == {}


def test_a_handful_of_lines_is_not_judged() -> None:
    assert faults(SOURCES[:7], REFERENCES[:7], SOURCES[:7]) == {}
    assert faults(SOURCES[:7], REFERENCES[:7], ["nein"] * 7) == {}
