"""Minimum Bayes risk (MBR): choose the translations that are most similar to all the others (Eikema and Aziz 2020).

Similarity is sacreBLEU's sentence chrF or sentence BLEU. To score every pair, sacreBLEU would count all n-grams again
for each of them (0.3 s for 32 translations of 15 words). Here they are counted once for each text, and the number of
n-grams that two texts share is computed by a matrix product.

Shapes: U distinct texts; rows are hypotheses, columns are references.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np

_BLOCK = 1 << 14
"""N-grams that are processed together, which bounds the host memory used."""


def choose_by_mbr(texts: Sequence[str], utility: str, count: int) -> list[tuple[int, float]]:
    """Return at most `count` indices of `texts` with their expected utility (0 to 100), best first.

    Every distinct text is a candidate. Its expected utility is the mean over all texts as references, repetitions and
    the candidate itself included. A candidate is identified by its first index, and ties keep their order. `utility` is
    `chrf` or `bleu` (with effective order); in sacreBLEU, nothing is similar to an empty text.
    """
    multiplicity = Counter(texts)
    candidates = list(multiplicity)
    shares = np.array(list(multiplicity.values())) / max(len(texts), 1)
    similarity = {"chrf": _sentence_chrf, "bleu": _sentence_bleu}[utility](candidates)  # [U, U]
    # Rounded, so that ties stay ties whatever the order of summation.
    expected = (similarity * shares).sum(1).round(9)
    best = np.argsort(-expected, kind="stable")[:count].tolist()
    first = {text: index for index, text in reversed(list(enumerate(texts)))}
    return [(first[candidates[row]], float(expected[row])) for row in best]


def _sentence_chrf(texts: Sequence[str]) -> np.ndarray:
    """Return the chrF2 (Popović 2015) of all pairs, [U, U], as `sacrebleu.CHRF().sentence_score` computes it."""
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    counted = [extract_all_char_ngrams(text, CHRF.CHAR_ORDER) for text in texts]
    orders, precision, recall = (np.zeros((len(texts), len(texts))) for _ in range(3))
    for order in range(CHRF.CHAR_ORDER):
        ngrams = [counters[order] for counters in counted]
        sizes = np.array([ngram.total() for ngram in ngrams], dtype=np.float64)
        # The mean is taken over the orders for which both texts are long enough.
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
    """Return the BLEU of all pairs, [U, U], as `sacrebleu.BLEU(effective_order=True).sentence_score` computes it."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.helpers import extract_all_word_ngrams

    metric = BLEU(effective_order=True, force=True)
    counted = [extract_all_word_ngrams(metric.tokenizer(text.rstrip()), 1, metric.max_ngram_order) for text in texts]
    orders = [
        [Counter({ngram: count for ngram, count in ngrams.items() if len(ngram) == order}) for ngrams, _ in counted]
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
    """Count the n-grams that two texts share, [U, U]: the sum over all n-grams of the smaller of the two counts."""
    indices = {ngram: index for index, ngram in enumerate(dict.fromkeys(chain.from_iterable(ngrams)))}
    columns = np.array([indices[ngram] for ngram in chain.from_iterable(ngrams)], dtype=int)
    rows = np.repeat(np.arange(len(ngrams)), [len(counter) for counter in ngrams])
    counts = np.array([number for counter in ngrams for number in counter.values()], dtype=int)
    matches = np.zeros((len(ngrams), len(ngrams)))
    for begin in range(0, len(indices), _BLOCK):
        here = (columns >= begin) & (columns < begin + _BLOCK)
        grid = np.zeros((len(ngrams), min(_BLOCK, len(indices) - begin)), dtype=np.float32)
        grid[rows[here], columns[here] - begin] = counts[here]
        # min(a, b) is the number of thresholds 1, 2, ... that both reach. Integers this small are exact in fp32.
        threshold = 1
        while grid.size:
            reached = (grid >= threshold).astype(np.float32)
            matches += reached @ reached.T
            grid = grid[:, grid.max(0) > threshold]
            threshold += 1
    return matches
