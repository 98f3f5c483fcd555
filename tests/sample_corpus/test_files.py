"""The committed sample corpus: its generator still makes these bytes, and its sentences and links are well formed."""

import hashlib
import re
from pathlib import Path

import pytest

from data.generator.choice import Dice
from data.generator.corpus import content_links, write_corpus
from data.generator.grammar import Pair
from data.generator.patterns import sentence

DATA = Path(__file__).parents[2] / "data"
SIZES = {"train": 30_000, "valid": 500, "test": 1_000}


def _lines(name: str) -> list[str]:
    text = (DATA / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.mark.slow
def test_regenerating_gives_the_committed_bytes(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    text = [f"{split}.{side}" for split in SIZES for side in ("en", "de")]
    assert names == sorted([*text, "test.align", "test.content.align"])
    for name in names:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


def test_readme_lists_the_checksum_of_each_file() -> None:
    rows = re.findall(r"^\| `([\w.]+)` .*`([0-9a-f]{64})`", (DATA / "README.md").read_text("utf-8"), re.MULTILINE)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("t*")}
    found |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("valid.*")}
    assert dict(rows) == found


def test_another_seed_gives_other_sentences(tmp_path: Path) -> None:
    write_corpus(tmp_path, seed=1, train_pairs=50)
    assert (tmp_path / "test.en").read_bytes() != (DATA / "test.en").read_bytes()
    assert len((tmp_path / "train.de").read_text(encoding="utf-8").splitlines()) == 50


@pytest.mark.parametrize("side", ["en", "de"])
def test_every_sentence_occurs_once(side: str) -> None:
    lines = {split: _lines(f"{split}.{side}") for split in SIZES}
    assert {split: len(found) for split, found in lines.items()} == SIZES
    every = [line for found in lines.values() for line in found]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("side", ["en", "de"])
def test_sentences_are_well_formed(side: str) -> None:
    for line in _lines(f"train.{side}"):
        assert line == line.strip() and "  " not in line
        assert line[0].isupper() and line[-1] in ".?!"
        assert 3 <= len(line.split()) <= 22
        assert ",," not in line and " ," not in line and not line[:-1].endswith(",")


def test_no_sentence_is_ambiguous() -> None:
    """Without the filter for repeats, no sentence of either language has two translations."""
    dice = Dice(3)
    german: dict[str, str] = {}
    english: dict[str, str] = {}
    for _ in range(4_000):
        pair = sentence(dice)
        assert german.setdefault(pair.en, pair.de) == pair.de
        assert english.setdefault(pair.de, pair.en) == pair.en


def test_alignment_is_within_bounds_and_covers_content_words() -> None:
    unlinked: dict[str, set[str]] = {"en": set(), "de": set()}
    for en, de, line in zip(_lines("test.en"), _lines("test.de"), _lines("test.align"), strict=True):
        links = [tuple(map(int, link.split("-"))) for link in line.split()]
        assert links and len(set(links)) == len(links)
        assert all(0 <= i < len(en.split()) and 0 <= j < len(de.split()) for i, j in links)
        for side, text, linked in (("en", en, {i for i, _ in links}), ("de", de, {j for _, j in links})):
            words = enumerate(text.lower().split())
            unlinked[side] |= {word.strip(".,?!") for k, word in words if k not in linked}
    assert unlinked["en"] <= {"to", "do", "does", "did", "is", "are", "am"}
    auxiliaries = {"hat", "habe", "haben", "ist", "bin", "sind"}
    # "dem" is that of "mit dem Bus", which English says without an article.
    assert unlinked["de"] <= auxiliaries | {"gerade", "um", "zu", "dem"}


def test_alignment_links_names_to_themselves() -> None:
    for en, de, line in zip(_lines("test.en"), _lines("test.de"), _lines("test.align"), strict=True):
        links = {tuple(map(int, link.split("-"))) for link in line.split()}
        german = [word.strip(".,?!") for word in de.split()]
        for i, word in enumerate(word.strip(".,?!") for word in en.split()):
            if word in ("Anna", "Berlin", "Karl"):
                assert [german[j] for k, j in links if k == i] == [word], (en, de)


@pytest.mark.parametrize(
    "wrong",
    [
        r"jede[n]? (Tag|Woche)[^,]* (nicht|kein)",
        r"gehört (de[mr]|mein|unser)[^,]* nicht",
        r"(haben|hat) [^,]*gelegen",
    ],
)
def test_committed_sentences_avoid_unnatural_german(wrong: str) -> None:
    assert [line for line in _lines("train.de") if re.search(wrong, line)] == []


def test_committed_subordinate_clauses_end_in_the_finite_verb() -> None:
    """After "weil" no finite auxiliary comes before the participle."""
    clauses = [line.split(", weil ")[1] for line in _lines("train.de") if ", weil " in line]
    perfect = [clause for clause in clauses if " hat" in clause or " ist" in clause]
    assert len(perfect) > 500
    assert all(clause.split()[-1].rstrip(".") in ("hat", "ist", "isst") for clause in perfect)


def test_content_links_are_all_those_of_the_german_content_words() -> None:
    pair = Pair(
        "The old baker tried on a hat.", "Der alte Bäcker hat einen Hut anprobiert.",
        ((0, 0), (1, 1), (2, 2), (3, 6), (4, 6), (5, 4), (6, 5)),
    )  # fmt: skip
    assert content_links(pair) == [(1, 1), (2, 2), (3, 6), (4, 6), (6, 5)]


def test_content_links_of_the_test_set_are_among_all_its_links() -> None:
    for content, links in zip(_lines("test.content.align"), _lines("test.align"), strict=True):
        assert set(content.split()) <= set(links.split())
