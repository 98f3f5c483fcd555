"""Warnings where references and output differ in tokenisation or case."""

import pytest

from translator.evaluation import mismatches

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
