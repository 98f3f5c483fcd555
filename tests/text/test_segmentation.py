"""Random segmentations: with the probabilities of the papers, and the same in every process."""

import itertools
import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import translator
from translator.config import TokenizerSettings
from translator.text import Tokenizer, train_tokenizer
from translator.text.segmentation import VARIANTS, Segmenter

LINES = ["der Hund schläft heute im Garten.", "Ein kleiner Hund läuft.", "größer ☃ als </s> 12 Häuser", "", "  a  b "]
PROGRAM = """
import sys
from translator.text import Tokenizer
tokenizer = Tokenizer.load(sys.argv[1])
print([tokenizer.sample(sys.argv[2:], 0.3, seed) for seed in range(5)])
"""
DRAWS = 4000


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    words = "der Hund schläft heute im Garten ein kleiner läuft Haus Häuser größer als klein Hunde Hundes"
    lines = [" ".join(three) for three in itertools.product(words.split(), repeat=3)]
    return train_tokenizer(lambda: iter(lines), TokenizerSettings(vocab_size=330, type=request.param))


def segmentations(word: str, scores: dict[str, float]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield all segmentations of a word with their scores."""
    if not word:
        yield (), 0.0
    for end in range(1, len(word) + 1):
        if word[:end] in scores:
            for rest, score in segmentations(word[end:], scores):
                yield (word[:end], *rest), scores[word[:end]] + score


def test_samples_spell_the_text_and_depend_on_the_seed(tokenizer: Tokenizer) -> None:
    usual = tokenizer.encode(LINES)
    first, again, other = (tokenizer.sample(LINES, 0.1, seed) for seed in (1, 1, 2))
    assert first == again != other
    for line, pieces, expected in zip(LINES, first, usual, strict=True):
        assert tokenizer.decode(pieces) == tokenizer.decode(expected), line


def test_every_process_draws_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tmp_path / "tokenizer.model"
    model.write_bytes(tokenizer.model)
    expected = [tokenizer.sample(LINES, 0.3, seed) for seed in range(5)]
    for salt in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": str(Path(translator.__file__).parents[1])}
        command = [sys.executable, "-c", PROGRAM, str(model), *LINES]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert result.stdout.strip() == str(expected)


def test_without_randomness_the_pieces_are_those_of_sentencepiece(tokenizer: Tokenizer) -> None:
    segmenter = Segmenter(tokenizer._processor)
    for line in LINES:
        normal = tokenizer._processor.normalize(line)
        words = ["\u2581" + word for word in normal.split("\u2581")[1:]]
        found = [piece for word in words for piece in segmenter._segment(word, None, 0)]
        assert found == tokenizer.encode([line])[0]


def test_occurrences_of_a_word_differ(tokenizer: Tokenizer) -> None:
    assert len({tuple(pieces) for pieces in tokenizer.sample(["Hundes"] * 50, 0.2, 1)}) >= 3


def test_merges_are_dropped_with_their_probability() -> None:
    segmenter = Segmenter.__new__(Segmenter)
    segmenter._scores = {"ab": -1.0, "bc": -2.0, "abc": -3.0}
    draw = random.Random(1)
    found = Counter(tuple(segmenter._merge("abc", lambda: draw.random() < 0.25)) for _ in range(DRAWS))
    # (a, bc) may become abc after ab was dropped; each merge stays with 0.75.
    expected = {
        ("ab", "c"): 0.75 * 0.25,
        ("abc",): 0.75 * 0.75 + 0.25 * 0.75 * 0.75,
        ("a", "bc"): 0.25 * 0.75 * 0.25,
        ("a", "b", "c"): 0.25 * 0.25,
    }
    assert_distributed(found, expected)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_unigram_pieces_are_drawn_with_their_probability(alpha: float) -> None:
    scores = {"a": -2.0, "b": -3.0, "c": -2.5, "ab": -2.2, "bc": -4.0, "abc": -5.0}
    segmenter = Segmenter.__new__(Segmenter)
    segmenter._scores, segmenter._longest, segmenter._unknown_score = scores, 3, -20.0
    draw = random.Random(1)
    found = Counter(tuple(segmenter._sample("abcab", alpha, draw)) for _ in range(DRAWS))
    weights = {parts: math.exp(alpha * score) for parts, score in segmentations("abcab", scores)}
    total = sum(weights.values())
    assert_distributed(found, {parts: weight / total for parts, weight in weights.items()})
    best = max(weights, key=lambda parts: weights[parts])
    assert tuple(segmenter._sample("abcab", None, draw)) == best


def assert_distributed(found: Counter[tuple[str, ...]], expected: dict[tuple[str, ...], float]) -> None:
    assert found.keys() <= expected.keys()
    for parts, share in expected.items():
        # Four standard deviations.
        bound = 4.0 * math.sqrt(share * (1.0 - share) / DRAWS)
        assert found[parts] / DRAWS == pytest.approx(share, abs=bound), parts


def test_variants_are_drawn_independently(tokenizer: Tokenizer) -> None:
    segmenter = Segmenter(tokenizer._processor)
    assert len({segmenter._segment("\u2581Hundes", 0.2, variant) for variant in range(VARIANTS)}) >= 3
