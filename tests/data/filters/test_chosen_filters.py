"""Filters as settings choose them: all pass in one place, and the counts add up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.config import Config, DataSettings
from translator.data import describe_report, load_prepared, prepare, report
from translator.data.cleaning import KEPT, REASONS, reason_of, scan, select
from translator.data.filters import REASON_OF_SETTING, PairFilter, chosen_reasons, first_to_drop, text_filters
from translator.errors import ConfigError, DataError

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]
ALL: dict[str, Any] = {
    "drop_identical": True, "max_characters": 60, "drop_mojibake": True, "min_letter_share": 0.4,
    "min_script_share": 0.5, "drop_different_numbers": True, "drop_different_addresses": True, "drop_unbalanced": True,
    "drop_other_languages": True, "drop_near_duplicates": True, "min_score": 0.5,
}  # fmt: skip
BAD = {
    "identical": ("guten Tag", "Guten Tag"),
    "characters": ("short", "lang " * 13),
    "mojibake": ("he lives in KÃ¶ln", "er wohnt in Köln"),
    "letters": ("=== 5 ===", "Kapitel fünf"),
    "script": ("the dog", "собака здесь"),
    "numbers": ("the dog sees house 12.", "der Hund sieht Haus 21."),
    "addresses": ("see www.example.org", "siehe www.example.net"),
    "unbalanced": ("the (dog", "der Hund"),
    "language": ("Il fait très beau aujourd'hui à Paris.", "Heute ist das Wetter in Paris sehr schön."),
    "duplicate": ("the dog sees house 0.", "der Hund sieht Haus 0."),
}


@pytest.fixture
def scored(tmp_path: Path, pairs: MakePairs) -> dict[str, Any]:
    """An entry with 40 good pairs, a bad one for each reason, and scores; the last pair has a low one."""
    pytest.importorskip("py3langid")
    made = [*pairs(0, 40), *BAD.values(), ("badly aligned", "schlecht ausgerichtet")]
    rows = [
        f"{source}\t{0.9 if index < len(made) - 1 else 0.2}\t{target}" for index, (source, target) in enumerate(made)
    ]
    (tmp_path / "a.tsv").write_text("\n".join(["en\tbicleaner\tde", *rows]) + "\n")
    return {"path": f"{tmp_path}/a.tsv", "score_column": "bicleaner"}


def test_every_filter_drops_its_pair_and_the_counts_add_up(
    tmp_path: Path, scored: dict[str, Any], corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    data = ALL | {"drop_near_duplicates": False}
    config = settings(train=[scored], valid=corpus("valid", pairs(100, 3)), **data)
    prepared = prepare(config, tmp_path / "out")
    figures = report(load_prepared(prepared.directory))
    # The reasons are in the order of the table.
    assert list(figures["dropped"]) == [reason for reason in REASONS if reason != "near_duplicate"]
    assert {reason for reason, count in figures["dropped"].items() if count == 1} == {*BAD, "score"}
    assert figures["sets"]["train"]["pairs"] + sum(figures["dropped"].values()) == figures["read"] == 51
    examples = {
        reason: [(row["source"], row["target"]) for row in rows] for reason, rows in figures["examples"].items()
    }
    assert examples == {reason: [pair] for reason, pair in BAD.items()} | {
        "score": [("badly aligned", "schlecht ausgerichtet")]
    }
    page = describe_report(figures)
    assert "             1    1.96 %  score below data.min_score\n" in page
    assert "dropped, in another language, for example\n" in page


def test_near_duplicates_are_dropped_within_a_target_language(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    long = [(" ".join(source for source, _ in pairs(n, 5)), "Satz") for n in (0, 50)]
    again = [(f"{source[:-1]}!", target) for source, target in long]
    train = corpus("train", [*long, *again, *pairs(200, 20)])
    base = {"train": train, "valid": corpus("valid", pairs(90, 3)), "max_length_ratio": 100.0}
    kept = prepare(settings(**base), tmp_path / "all")
    assert "near_duplicate" not in kept.manifest["counts"]["dropped"]
    prepared = prepare(settings(**base, drop_near_duplicates=True), tmp_path / "out")
    # The 20 others differ in two of four words.
    assert prepared.manifest["counts"]["dropped"]["near_duplicate"] == 2
    assert len(kept.train) - len(prepared.train) == 2


def test_what_filters_drop_does_not_shape_the_vocabulary(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    good, valid = pairs(0, 60), corpus("valid", pairs(90, 3))
    junk = [(f"zqx{number}", f"zqx{number}") for number in range(200)]
    clean = prepare(settings(train=corpus("clean", good), valid=valid), tmp_path / "clean")
    mixed = settings(train=corpus("mixed", junk + good), valid=valid, drop_identical=True)
    assert prepare(mixed, tmp_path / "mixed").tokenizers.source.digest == clean.tokenizers.source.digest


def test_scores_are_read_from_a_file(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "train.scores"
    scores.write_text("".join(f"{number / 40}\n" for number in range(40)))
    entries = [{"path": corpus("one", pairs(0, 40)), "scores": str(scores)}, {"path": corpus("two", pairs(50, 10))}]
    config = settings(train=entries, valid=corpus("valid", pairs(90, 3)), min_score=0.25)
    prepared = prepare(config, tmp_path / "out")
    assert [entry["train"] for entry in prepared.manifest["counts"]["corpora"]] == [30, 10]
    assert "two.en and two.de has no scores, so data.min_score drops nothing of it" in capsys.readouterr().err
    # Other scores are another input.
    scores.write_text("1\n" * 40)
    assert len(prepare(config, tmp_path / "out").train) == 50
    for text, message in (
        ("1\n" * 39, r"one.en and one.de has 40 pairs, but 39 scores"),
        ("1\n" * 41, r"has 40 pairs, but 41 scores"),
        ("1\n" * 39 + "high\n", r"train.scores, pair 40: found 'high', expected a number"),
        ("1\n" * 39 + "nan\n", r"train.scores, pair 40: found 'nan', expected a number"),
    ):
        scores.write_text(text)
        with pytest.raises(DataError, match=message):
            prepare(config, tmp_path / "out")
    scores.unlink()
    with pytest.raises(DataError, match=r"there is no file .*train.scores \(scores\)"):
        prepare(config, tmp_path / "out")


def test_a_score_column_must_be_there(tmp_path: Path, scored: dict[str, Any], settings: Settings) -> None:
    with pytest.raises(DataError, match="a.tsv, line 1: the header line has no column `laser`"):
        prepare(settings(train=[scored | {"score_column": "laser"}], min_score=0.5), tmp_path / "out")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": "a.{en,de}", "min_score": 0.5}, "data.min_score: no training corpus has scores"),
        ({"train": [{"path": "a.tsv", "scores": "a", "score_column": "b"}]}, "entry 1, scores and score_column: keep"),
        ({"train": [{"path": "a.jsonl", "score_column": "b"}]}, "entry 1, score_column: only a .tsv or .csv file has"),
        ({"train": "a.tsv", "valid": [{"path": "a.tsv", "scores": "b"}]}, "data.valid, entry 1, scores: only training"),
    ],
)
def test_contradictions_are_refused(data: dict[str, Any], message: str) -> None:
    from translator.config import load_config

    words = [f"data.{name}={value if not isinstance(value, list) else value}" for name, value in data.items()]
    with pytest.raises(ConfigError, match=message):
        load_config(None, [word.replace("'", '"') for word in words])


def test_a_language_that_cannot_be_told_is_refused() -> None:
    pytest.importorskip("py3langid")
    with pytest.raises(DataError, match="py3langid does not know the language tlh"):
        text_filters(DataSettings(drop_other_languages=True), ("en", "tlh"))


def test_every_setting_has_a_reason_and_every_reason_a_line() -> None:
    assert chosen_reasons(DataSettings()) == ["mojibake"]
    assert set(chosen_reasons(DataSettings(**ALL))) == set(REASON_OF_SETTING.values()) < set(REASONS)
    assert chosen_reasons(DataSettings(drop_mojibake=False, min_score=0.0)) == ["score"]


@given(st.lists(st.tuples(st.text("ab 1", max_size=4), st.text("ab 1", max_size=4)), max_size=12), st.integers(0, 5))
def test_the_first_filter_that_drops_a_pair_counts(pairs: Pairs, start: int) -> None:
    filters = [
        PairFilter("identical", lambda source, target: source == target),
        PairFilter("numbers", lambda source, target: "1" in source),
    ]
    stripped = [(source.strip(), target.strip()) for source, target in pairs]
    expected = [
        0 if not (source and target) else 1 if source == target else 2 if "1" in source else 0
        for source, target in stripped
    ]
    assert first_to_drop(stripped, start, filters).tolist() == expected
    codes = select(scan(pairs, filters), [], False, False)
    reasons = ["" if code == KEPT else reason_of(code) for code in codes.tolist()]
    blank = [not (source and target) for source, target in stripped]
    assert reasons == [
        "blank" if empty else ["", "identical", "numbers"][code] for code, empty in zip(expected, blank, strict=True)
    ]
