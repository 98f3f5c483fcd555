"""Does the output look like the references? Where it does not, scores say little about the translation."""

import re
from collections.abc import Iterable, Sequence

_SPACED = re.compile(r"\w [,.](?=\s|$)")
_ATTACHED = re.compile(r"\w[,.](?=\s|$)")


def mismatches(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Say in sentences how the two differ in tokenisation and case; nothing where they do not."""
    found = []
    output, reference = looks_tokenised(hypotheses), looks_tokenised(references)
    if reference and not output:
        found.append(
            "the reference looks tokenised (spaces before full stops and commas) and the translations do "
            "not: scores will be too low. Score against raw references, or train on tokenised text too"
        )
    elif output and not reference:
        found.append(
            "the translations look tokenised (spaces before full stops and commas) and the reference does "
            "not: scores will be too low. Train on raw text; the tokenizer needs none other"
        )
    output, reference = looks_lowercased(hypotheses), looks_lowercased(references)
    if reference and not output:
        found.append(
            "the reference looks lower-cased and the translations do not: scores will be too low. "
            "Score with --lowercase, or against references with their case"
        )
    elif output and not reference:
        found.append(
            "the translations look lower-cased and the reference does not: scores will be too low. "
            "Train on text with its case, or score with --lowercase"
        )
    return found


def looks_tokenised(lines: Iterable[str]) -> bool:
    """Tell whether most full stops and commas stand alone. (French sets other marks apart, but not these.)"""
    spaced = attached = 0
    for line in lines:
        spaced += len(_SPACED.findall(line))
        attached += len(_ATTACHED.findall(line))
    return spaced > attached


def looks_lowercased(lines: Iterable[str]) -> bool:
    """Tell whether text in a script with two cases has next to no capitals (raw text: about 3 %)."""
    upper = lower = 0
    for line in lines:
        upper += sum(map(str.isupper, line))
        lower += sum(map(str.islower, line))
    return lower > 0 and upper < 0.002 * lower
