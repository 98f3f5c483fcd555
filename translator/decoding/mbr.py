"""Minimum Bayes risk: of several translations, those that are most like all the others (Eikema and Aziz 2020).

Likeness is sacreBLEU's sentence chrF or sentence BLEU. Scoring every pair through sacreBLEU counts all n-grams anew for
each of them (0.3 s for 32 translations of 15 words); here its counts are made once for each text, and how many n-grams
two texts share is a matrix product.

Legend: `U` distinct texts; rows are hypotheses, columns references.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np

_BLOCK = 1 << 14
"""N-grams that are looked at together; they bound the memory."""


def choose_by_risk(texts: Sequence[str], utility: str, count: int) -> list[tuple[int, float]]:
    """Return at most `count` places in `texts` with their expected utility (0 to 100), best first.

    Every distinct text is a candidate and all of them, repetitions and the candidate itself too, are the references
    that its expectation is taken over. A candidate is named by its first place; of equals the first comes first.
    `utility` is `chrf` or `bleu` (with effective order), of which sacreBLEU says that nothing is like an empty text.
    """
    multiplicity = Counter(texts)
    candidates = list(multiplicity)
    shares = np.array(list(multiplicity.values())) / max(len(texts), 1)
    likeness = {"chrf": _sentence_chrf, "bleu": _sentence_bleu}[utility](candidates)  # [U, U]
    # Rounded, so that equals stay equal however their sums were taken.
    expected = (likeness * shares).sum(1).round(9)
    best = np.argsort(-expected, kind="stable")[:count].tolist()
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    return [(first[candidates[row]], float(expected[row])) for row in best]


def _sentence_chrf(texts: Sequence[str]) -> np.ndarray:
    """chrF2 (Popović 2015) of all pairs `[U, U]`, as `sacrebleu.CHRF().sentence_score` computes it."""
    from sacrebleu.metrics import CHRF
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    counted = [extract_all_char_ngrams(text, CHRF.CHAR_ORDER) for text in texts]
    orders, precision, recall = (np.zeros((len(texts), len(texts))) for _ in range(3))
    for order in range(CHRF.CHAR_ORDER):
        ngrams = [counters[order] for counters in counted]
        sizes = np.array([ngram.total() for ngram in ngrams], dtype=np.float64)
        # Only the orders that both texts are long enough for are averaged.
        usable = (sizes[:, None] > 0) & (sizes > 0)
        matches = _matches(ngrams)
        precision += np.divide(matches, sizes[:, None], out=np.zeros_like(matches), where=usable)
        recall += np.divide(matches, sizes, out=np.zeros_like(matches), where=usable)
        orders += usable
    precision /= orders.clip(1)
    recall /= orders.clip(1)
    square = CHRF.BETA**2
    below = square * precision + recall
    return np.divide(100 * (1 + square) * precision * recall, below, out=np.zeros_like(below), where=below > 0)


def _sentence_bleu(texts: Sequence[str]) -> np.ndarray:
    """BLEU of all pairs `[U, U]`, as `sacrebleu.BLEU(effective_order=True).sentence_score` computes it."""
    from sacrebleu.metrics import BLEU
    from sacrebleu.metrics.helpers import extract_all_word_ngrams

    metric = BLEU(effective_order=True, force=True)
    counted = [extract_all_word_ngrams(metric.tokenizer(text.rstrip()), 1, metric.max_ngram_order) for text in texts]
    orders = [
        [Counter({ngram: number for ngram, number in ngrams.items() if len(ngram) == order}) for ngrams, _ in counted]
        for order in range(1, metric.max_ngram_order + 1)
    ]
    totals = [[ngrams.total() for ngrams in column] for column in zip(*orders, strict=True)]  # [U][order]
    matches = np.stack([_matches(ngrams) for ngrams in orders], axis=-1).astype(int).tolist()  # [U][U][order]
    return np.array(
        [
            [
                metric.compute_bleu(
                    correct, list(total), length, reference_length, metric.smooth_method, effective_order=True
                ).score
                for correct, (_, reference_length) in zip(row, counted, strict=True)
            ]
            for row, total, (_, length) in zip(matches, totals, counted, strict=True)
        ]
    ).reshape(len(texts), len(texts))


def _matches(ngrams: Sequence[Counter[Hashable]]) -> np.ndarray:
    """Count the n-grams that two texts share, `[U, U]`: the sum over all n-grams of the smaller of the two counts."""
    numbers = {ngram: number for number, ngram in enumerate(dict.fromkeys(chain.from_iterable(ngrams)))}
    columns = np.array([numbers[ngram] for ngram in chain.from_iterable(ngrams)], dtype=int)
    rows = np.repeat(np.arange(len(ngrams)), [len(counter) for counter in ngrams])
    counts = np.array([number for counter in ngrams for number in counter.values()], dtype=int)
    matches = np.zeros((len(ngrams), len(ngrams)))
    for begin in range(0, len(numbers), _BLOCK):
        here = (columns >= begin) & (columns < begin + _BLOCK)
        grid = np.zeros((len(ngrams), min(_BLOCK, len(numbers) - begin)), dtype=np.float32)
        grid[rows[here], columns[here] - begin] = counts[here]
        # min(a, b) is the number of thresholds that both reach. Whole numbers this small are exact in fp32.
        threshold = 1
        while grid.size:
            reached = (grid >= threshold).astype(np.float32)
            matches += reached @ reached.T
            grid = grid[:, grid.max(0) > threshold]
            threshold += 1
    return matches
