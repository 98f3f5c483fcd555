"""Checks whether translations look like their references; if not, scores say little about their quality."""

import re
from collections.abc import Iterable, Sequence

from translator.runtime.counted import counted

_SPACED = re.compile(r"\w [,.](?=\s|$)")
_BLANK = "whatever is translated there counts as wrong, so that scores will be too low; remove these lines"
_ATTACHED = re.compile(r"\w[,.](?=\s|$)")


def mismatches(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Return sentences that say how the two differ in tokenisation and case; empty if they do not."""
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
            "not: scores will be too low. Train on raw text; the tokenizer does not need tokenised text"
        )
    output, reference = looks_lowercased(hypotheses), looks_lowercased(references)
    if reference and not output:
        found.append(
            "the reference looks lower-cased and the translations do not: scores will be too low. "
            "Score with --lowercase, or against references that are not lower-cased"
        )
    elif output and not reference:
        found.append(
            "the translations look lower-cased and the reference does not: scores will be too low. "
            "Train on text that is not lower-cased, or score with --lowercase"
        )
    return found


def blank_references(references: Sequence[Sequence[str]], sources: Sequence[str] | None = None) -> list[str]:
    """Return sentences about blank lines in references, those of blank sources excepted; empty if there are none."""
    text = [line for line in range(len(references[0])) if sources is None or sources[line].strip()]
    counts = [sum(not stream[line].strip() for line in text) for stream in references]
    if len(references) == 1:
        blank = f"the reference is blank in {counts[0]:,} of {counted(len(text), 'line')}: {_BLANK}"
        return [blank] if counts[0] else []
    found = [
        f"reference {number} is blank in {count:,} of {counted(len(text), 'line')}, which are taken as missing "
        "references"
        for number, count in enumerate(counts, start=1)
        if count
    ]
    alone = sum(not any(stream[line].strip() for stream in references) for line in text)
    if alone:
        found.append(f"no reference that is not blank for {alone:,} of {counted(len(text), 'line')}: {_BLANK}")
    return found


def looks_tokenised(lines: Iterable[str]) -> bool:
    """Tell whether most full stops and commas follow a space (in French, other punctuation does, but not these)."""
    spaced = attached = 0
    for line in lines:
        spaced += len(_SPACED.findall(line))
        attached += len(_ATTACHED.findall(line))
    return spaced > attached


def looks_lowercased(lines: Iterable[str]) -> bool:
    """Tell whether text in a script with two cases has almost no capitals (raw text: about 3 %)."""
    upper = lower = 0
    for line in lines:
        upper += sum(map(str.isupper, line))
        lower += sum(map(str.islower, line))
    return lower > 0 and upper < 0.002 * lower


# Fewer lines than this say nothing about a model.
_FEWEST = 8
_MOST = 0.5
# A word or phrase of up to 40 characters, four times or more in a row.
_LOOP = re.compile(r"(.{1,40}?)\1{3,}", re.DOTALL)


def faults(sources: Sequence[str] | None, references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, str]:
    """Return sentences about output that is no translation, by kind: `copies`, `empty`, `loops`, `overlong`, `alike`.

    Without sources, copies are not found. A fault is reported if most lines have it, not counting lines whose reference
    has it too, and if there are at least 8 lines.
    """
    known = sources if sources is not None else [""] * len(references)
    lines = list(zip(map(_plain, known), map(_plain, references), map(_plain, hypotheses), strict=True))
    found = {}
    foreign = [hypothesis == source for source, reference, hypothesis in lines if source and source != reference]
    if _are_most(foreign):
        found["copies"] = f"{_share(foreign)} of the translations are copies of their source"
    given = [(reference, hypothesis) for _, reference, hypothesis in lines if reference]
    empty = [not hypothesis for _, hypothesis in given]
    if _are_most(empty):
        found["empty"] = f"{_share(empty)} of the translations are empty"
    loops = [_is_loop(hypothesis) for reference, hypothesis in given if not _is_loop(reference)]
    overlong = [len(hypothesis) > 3 * len(reference) + 20 for reference, hypothesis in given]
    if _are_most(loops):
        found["loops"] = f"{_share(loops)} of the translations repeat a word or phrase over and over"
    elif _are_most(overlong):
        found["overlong"] = (
            f"{_share(overlong)} of the translations are more than three times as long as their reference"
        )
    sizes = len({source for source, _, _ in lines}), len(lines)
    different = counted(sizes[0], "different source") if sources else counted(sizes[1], "line")
    answers = {hypothesis for _, hypothesis in given}
    expected = len({reference for reference, _ in given})
    if "empty" not in found and expected >= _FEWEST and len(answers) <= expected // 5:
        found["alike"] = (
            f"{different} have only {counted(len(answers), 'different translation')} (the references: {expected:,})"
        )
    return found


def _plain(line: str) -> str:
    return " ".join(line.split())


def _are_most(judged: Sequence[bool]) -> bool:
    return len(judged) >= _FEWEST and sum(judged) > _MOST * len(judged)


def _share(judged: Sequence[bool]) -> str:
    return f"{sum(judged):,} of {len(judged):,}"


def _is_loop(line: str) -> bool:
    """Tell whether immediate repetitions make up at least half of a line."""
    repeated = sum(len(match[0]) for match in _LOOP.finditer(line))
    return repeated > 0 and repeated >= 0.5 * len(line)
