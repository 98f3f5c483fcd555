"""Scores against the `sacrebleu` command, and the errors that a user can cause."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sacrebleu.metrics.bleu import BLEU

from translator.errors import EvaluationError
from translator.evaluation import score

HYPOTHESES = [
    "A dog runs over the green field .",
    "Two men, in blue shirts, are talking to each other.",
    "The child isn't sleeping!",
    "",
    "A woman sells 1,000 apples at the market in town.",
]
REFERENCES = [
    "A dog is running across the green field.",
    "Two men in blue shirts are talking to one another.",
    "The child is not asleep.",
    "Nothing here.",
    "A woman is selling 1,000 apples at the town's market.",
]
OTHER_REFERENCES = [line.replace("A ", "One ") for line in REFERENCES]


@pytest.mark.parametrize("references", [[REFERENCES], [REFERENCES, OTHER_REFERENCES]], ids=["one", "two"])
@pytest.mark.parametrize(
    ("tokenize", "lowercase"), [("13a", False), ("13a", True), ("none", False), ("char", False), ("zh", True)]
)
def test_scores_equal_those_of_the_sacrebleu_command(
    tmp_path: Path, references: list[list[str]], tokenize: str, lowercase: bool
) -> None:
    hypotheses = _written(tmp_path / "hypotheses", HYPOTHESES)
    files = [_written(tmp_path / f"reference{place}", lines) for place, lines in enumerate(references)]
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        *files,
        "-i",
        hypotheses,
        "-m",
        "bleu",
        "chrf",
        "ter",
        "-w",
        "9",
    ]
    command += ["-tok", tokenize, *(["-lc", "--chrf-lowercase"] if lowercase else ["--ter-case-sensitive"])]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = [(item["name"], item["score"], item["signature"]) for item in json.loads(finished.stdout)]
    found = score(HYPOTHESES, references, ("bleu", "chrf", "ter"), tokenize=tokenize, lowercase=lowercase)
    assert [(item.name, round(item.value, 9), item.signature) for item in found] == expected


def test_chrf_with_words_equals_that_of_the_sacrebleu_command(tmp_path: Path) -> None:
    files = _written(tmp_path / "hypotheses", HYPOTHESES), _written(tmp_path / "reference", REFERENCES)
    command = [sys.executable, "-m", "sacrebleu", files[1], "-i", files[0], "-m", "chrf", "-cw", "2", "-w", "9"]
    expected = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (found,) = score(HYPOTHESES, REFERENCES, ("chrf++",))
    assert (found.name, round(found.value, 9), found.signature) == (
        expected["name"],
        expected["score"],
        expected["signature"],
    )


def test_one_reference_needs_no_list_of_lists() -> None:
    assert score(HYPOTHESES, REFERENCES) == score(HYPOTHESES, [REFERENCES])


def test_a_score_prints_with_its_signature() -> None:
    (bleu,) = score(REFERENCES, REFERENCES, ("bleu",))
    assert str(bleu).startswith("BLEU = 100.00  nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (REFERENCES[:4], "there are 5 sentences to score but the reference has 4 lines"),
        ([REFERENCES, REFERENCES[:3]], "there are 5 sentences to score but reference 2 has 3 lines"),
    ],
)
def test_unequal_counts_are_refused(references: list[str], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        score(HYPOTHESES, references)


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(EvaluationError, match="nothing to score"):
        score([], [])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"no metric 'meteor'; expected bleu, chrf, chrf\+\+, ter"):
        score(HYPOTHESES, REFERENCES, ("meteor",))
    with pytest.raises(EvaluationError, match="no BLEU tokenizer '14a'; expected 13a, none"):
        score(HYPOTHESES, REFERENCES, tokenize="14a")


def test_a_missing_library_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)
    with pytest.raises(EvaluationError, match=r"ja-mecab is not available here: .*pip install sacrebleu\[ja\]"):
        score(HYPOTHESES, REFERENCES, tokenize="ja-mecab")


def test_a_blank_line_among_several_references_is_a_missing_one(tmp_path: Path) -> None:
    """One blank reference in five is as if it were not there, for sacreBLEU as well; all blank is as before."""
    short = [" ".join(line.split()[:3]) for line in HYPOTHESES]
    blank = [" ", "", "\u3000", "", ""]
    assert [item.value for item in score(short, [REFERENCES, blank])] == [
        item.value for item in score(short, [REFERENCES])
    ]
    some = [*OTHER_REFERENCES[:2], "", *OTHER_REFERENCES[3:]]
    bleu = score(short, [REFERENCES, some])[0]
    assert "nrefs:var" in bleu.signature
    expected = BLEU(force=True).corpus_score(short, [REFERENCES, [line or None for line in some]])
    assert bleu.value == expected.score
    assert [item.value for item in score(["b"], [[""], [""]])] == [item.value for item in score(["b"], [[""]])]


def _written(file: Path, lines: list[str]) -> str:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(file)
