"""Comparisons against the paired tests of the `sacrebleu` command, and figures of groups against their definitions."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from translator.errors import EvaluationError
from translator.evaluation import Comparison, System, by_frequency, by_length, compare, score, sentence_chrf

REFERENCES = [f"the {noun} number {number} is here , {noun} or not" for number in range(12) for noun in ("dog", "cat")]
GOOD = [line.replace("here", "there") if index % 5 == 0 else line for index, line in enumerate(REFERENCES)]
POOR = [" ".join(line.split()[: 4 + index % 7]) for index, line in enumerate(REFERENCES)]
SYSTEMS = [System("poor", POOR), System("good", GOOD), System("other", [*POOR[:-1], "a dog"])]


def compared(references: Any = REFERENCES, **options: Any) -> Comparison:
    return compare(SYSTEMS, references, resamples=100, trials=200, **options)


@pytest.mark.parametrize("references", [1, 2])
def test_figures_equal_those_of_the_sacrebleu_command(tmp_path: Path, references: int) -> None:
    streams = [REFERENCES, [line.upper() for line in REFERENCES]][:references]
    comparison = compared(streams)
    files = []
    for name, lines in [*((system.name, system.hypotheses) for system in SYSTEMS), *zip("ab", streams, strict=False)]:
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        files.append(str(tmp_path / name))
    command = [sys.executable, "-m", "sacrebleu", *files[3:], "-i", *files[:3], "-m", "bleu", "chrf", "ter", "-w", "4"]
    command += ["--ter-case-sensitive", "--paired-bs-n", "100", "--paired-ar-n", "200", "-f", "text"]
    resampled, shuffled = (
        subprocess.run([*command, kind], capture_output=True, text=True, check=True).stdout
        for kind in ("--paired-bs", "--paired-ar")
    )
    # A line for each system, and under it one of the p-values of all but the first.
    figures = [figure for row in comparison.figures for figure in row]
    intervals = re.findall(r"([\d.]+) \(([\d.]+) ± ([\d.]+)\)", resampled)
    assert intervals == [(f"{one.value:.4f}", f"{one.mean:.4f}", f"{one.interval:.4f}") for one in figures]
    for output, name in ((resampled, "bootstrap"), (shuffled, "randomisation")):
        expected = [getattr(figure, name) for figure in figures]
        assert re.findall(r"\(p = ([\d.]+)\)", output) == [f"{value:.4f}" for value in expected[3:]]
        assert expected[:3] == [None] * 3
    assert "|bs:100|seed:12345|" in comparison.signatures["BLEU"]
    assert "ar:200|" in comparison.randomisation_signatures["BLEU"]


def test_scores_are_those_of_evaluate() -> None:
    for system, figures in zip(SYSTEMS, compared(lowercase=True).figures, strict=True):
        expected = score(system.hypotheses, REFERENCES, ("bleu", "chrf", "ter"), lowercase=True)
        assert [figure.value for figure in figures] == [item.value for item in expected]


def test_a_blank_line_among_several_references_is_missing() -> None:
    one, two = compared(), compared([REFERENCES, [""] * len(REFERENCES)])
    assert one.figures == two.figures
    assert any("missing references" in warning for warning in two.warnings)


def test_lengths_are_scores_of_their_sentences() -> None:
    references = [*REFERENCES[:5], "short one", "a second short one"]
    systems = [System("a", references), System("b", [*POOR[:5], "short one", "second"])]
    comparison = compare(systems, references, resamples=10, trials=10)
    short, long = by_length(comparison)
    assert (short.label, short.sentences, long.label, long.sentences) == ("0 to 4", 2, "10 to 14", 5)
    for group, lines in ((short, slice(5, 7)), (long, slice(0, 5))):
        for system, found in zip(systems, group.scores, strict=True):
            expected = score(system.hypotheses[lines], references[lines], ("bleu", "chrf"))
            assert found == {item.name: item.value for item in expected}


def test_words_by_frequency() -> None:
    references = ["a a b c", "a d"]
    systems = [System("all", references), System("some", ["a a a b x", "d d"])]
    comparison = compare(systems, references, tokenize="none", resamples=10, trials=10)
    once, often = by_frequency(comparison)
    assert (once.label, once.words, often.label, often.words) == ("1", 3, "2 to 4", 3)
    # Of b, c and d the second has two; it has three words of the group (b, d, d). Of a a a it has two of three.
    assert once.f1 == [100.0, pytest.approx(200 * 2 / (3 + 3))]
    assert often.f1 == [100.0, pytest.approx(200 * 2 / (3 + 3))]
    # Counted elsewhere: x and c are unknown there.
    unknown, known = by_frequency(comparison, ["a b d"])
    assert (unknown.label, unknown.words, known.label, known.words) == ("0", 1, "1", 5)
    assert unknown.f1 == [100.0, 0.0]


def test_sentence_chrf() -> None:
    found = sentence_chrf(compared())
    assert found[0][:-1] == found[2][:-1]
    for index in (0, 7):
        (expected,) = score([GOOD[index]], [REFERENCES[index]], ("chrf",))
        assert found[1][index] == pytest.approx(expected.value)


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        (SYSTEMS[:1], "found 1 system to compare; expected at least two"),
        ([SYSTEMS[0], SYSTEMS[0]], "two systems have the same name: poor, poor"),
        ([SYSTEMS[0], System("short", GOOD[:3])], "there are 3 sentences to score but the reference has 24 lines"),
    ],
)
def test_what_cannot_be_compared_is_refused(systems: list[System], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compare(systems, REFERENCES)
