"""The files of the sample corpus: training, validation and test sets, and the word alignment of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .choice import Dice
from .grammar import Pair
from .lexicon import FUNCTION_WORDS
from .patterns import sentence

SEED = 20240
TRAIN_PAIRS = 30_000
VALID_PAIRS = 500
TEST_PAIRS = 1_000
MIN_WORDS, MAX_WORDS = 3, 22


def generate(count: int, dice: Dice) -> list[Pair]:
    """Return `count` pairs in random order, in which no English and no German sentence occurs twice."""
    pairs: list[Pair] = []
    seen_en: set[str] = set()
    seen_de: set[str] = set()
    while len(pairs) < count:
        pair = sentence(dice)
        lengths = [len(side.split()) for side in (pair.en, pair.de)]
        if min(lengths) < MIN_WORDS or max(lengths) > MAX_WORDS or pair.en in seen_en or pair.de in seen_de:
            continue
        seen_en.add(pair.en)
        seen_de.add(pair.de)
        pairs.append(pair)
    # Short sentences run out early, so the sets would differ if they were cut in the order of generation.
    return dice.shuffled(pairs)


def write_corpus(output: Path, seed: int = SEED, train_pairs: int = TRAIN_PAIRS) -> None:
    """Generate the corpus and write its files into `output`, which is created if needed."""
    output.mkdir(parents=True, exist_ok=True)
    pairs = generate(train_pairs + VALID_PAIRS + TEST_PAIRS, Dice(seed))
    start = 0
    for name, size in (("test", TEST_PAIRS), ("valid", VALID_PAIRS), ("train", train_pairs)):
        chosen = pairs[start : start + size]
        start += size
        _write_lines(output / f"{name}.en", [pair.en for pair in chosen])
        _write_lines(output / f"{name}.de", [pair.de for pair in chosen])
        if name == "test":
            _write_lines(output / "test.align", [_pharaoh(pair.alignment) for pair in chosen])
            _write_lines(output / "test.content.align", [_pharaoh(content_links(pair)) for pair in chosen])


def content_links(pair: Pair) -> list[tuple[int, int]]:
    """Return all links of the German content words: nouns, names, verbs, adjectives, adverbs and numbers."""
    words = [word.strip(".,?!").lower() for word in pair.en.split()]
    content = {j for i, j in pair.alignment if words[i] not in FUNCTION_WORDS}
    return [(i, j) for i, j in pair.alignment if j in content]


def _pharaoh(links: Sequence[tuple[int, int]]) -> str:
    return " ".join(f"{i}-{j}" for i, j in links)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
