"""Tables of logits, and plain definitions of the searches and rules, so that searches are tested without a model."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch

from translator.decoding import LengthPenalty

BOS, EOS = 1, 2


class RandomTable:
    """Random logits for every context, which depend only on (seed, source, prefix)."""

    def __init__(self, vocabulary: int, seed: int, spread: float = 2.0, end_bias: float = 0.0) -> None:
        self.vocabulary, self.seed, self.spread, self.end_bias = vocabulary, seed, spread, end_bias
        self.known: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = {}
        self.totals: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}

    def __call__(self, source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        if (source, prefix) not in self.known:
            generator = torch.Generator().manual_seed(hash((self.seed, source, prefix)) % 2**63)
            logits = torch.randn(self.vocabulary, generator=generator) * self.spread
            logits[EOS] += self.end_bias
            self.known[source, prefix] = logits.tolist()
        return self.known[source, prefix]

    def log_probability(self, source: tuple[int, ...], tokens: Sequence[int]) -> float:
        """The log-probability of a whole sentence, end token included."""
        return self.prefix_log_probability(source, (*tokens, EOS))

    def prefix_log_probability(self, source: tuple[int, ...], tokens: tuple[int, ...]) -> float:
        """The log-probability of the beginning of a sentence, summed in double precision."""
        if not tokens:
            return 0.0
        if (source, tokens) not in self.totals:
            logits = self(source, tokens[:-1])
            gain = logits[tokens[-1]] - math.log(sum(math.exp(logit) for logit in logits))
            self.totals[source, tokens] = self.prefix_log_probability(source, tokens[:-1]) + gain
        return self.totals[source, tokens]

    def sentences(self, limit: int) -> list[tuple[int, ...]]:
        """All sentences of at most `limit` tokens."""
        words = [token for token in range(self.vocabulary) if token != EOS]
        return [tokens for length in range(limit + 1) for tokens in itertools.product(words, repeat=length)]


@dataclass(frozen=True)
class PlainRules:
    """A second definition of `Rules`, in which every question is answered from the whole hypothesis."""

    spelling: tuple[bytes, ...] = ()
    """The bytes that each token spells."""
    prefix: tuple[int, ...] = ()
    banned: tuple[str, ...] = ()
    required: tuple[tuple[int, ...], ...] = ()
    block_ngrams: int = 0
    repetition_penalty: float = 0.0
    minimum: int = 0
    never: frozenset[int] = frozenset()

    def text(self, tokens: Sequence[int]) -> bytes:
        return b" ".join(re.split(b" +", b" " + b"".join(self.spelling[token] for token in tokens)))

    def count(self, tokens: Sequence[int]) -> int:
        """How often the text contains a banned phrase at the beginning of a word."""
        text = self.text(tokens)
        phrases = [b" " + phrase.encode() for phrase in self.banned]
        return sum(text.startswith(phrase, index) for phrase in phrases for index in range(len(text)))

    def met(self, tokens: Sequence[int]) -> list[tuple[int, ...]]:
        return [phrase for phrase in set(self.required) if phrase in ngrams(tokens, len(phrase))]

    def begun(self, tokens: Sequence[int]) -> int:
        """How many tokens of a missing phrase the hypothesis ends with."""
        missing = set(self.required) - set(self.met(tokens))
        sizes = (size for phrase in missing for size in range(1, len(phrase)) if ends_with(tokens, phrase[:size]))
        return max(sizes, default=0)

    def progress(self, tokens: Sequence[int]) -> int:
        return sum(map(len, self.met(tokens))) + self.begun(tokens)

    def bank(self, tokens: Sequence[int]) -> int:
        return 2 * len(self.met(tokens)) + (self.begun(tokens) > 0)

    def allows(self, tokens: tuple[int, ...], token: int) -> bool:
        if len(tokens) < len(self.prefix):
            return token == self.prefix[len(tokens)]
        if token in self.never:
            return False
        if token == EOS:
            return len(tokens) >= self.minimum and len(self.met(tokens)) == len(set(self.required))
        longer = (*tokens, token)
        if self.block_ngrams and longer[-self.block_ngrams :] in ngrams(tokens, self.block_ngrams):
            return False
        return not self.banned or self.count(longer) == self.count(tokens)

    def obeyed_by(self, tokens: tuple[int, ...]) -> bool:
        return all(self.allows(tokens[:index], token) for index, token in enumerate((*tokens, EOS)))

    def charge(self, tokens: Sequence[int]) -> float:
        first = len(self.prefix)
        return self.repetition_penalty * sum(
            token in tokens[:index] for index, token in enumerate(tokens[first:], first)
        )


def ngrams(tokens: Sequence[int], size: int) -> set[tuple[int, ...]]:
    return {tuple(tokens[index : index + size]) for index in range(len(tokens) - size + 1)}


def ends_with(tokens: Sequence[int], ending: Sequence[int]) -> bool:
    return tuple(tokens[len(tokens) - len(ending) :]) == tuple(ending) if len(ending) <= len(tokens) else False


@dataclass
class PlainBeamSearch:
    """The definition of beam search: without tensors, without early stopping, keeping every complete hypothesis."""

    table: RandomTable
    width: int
    penalty: LengthPenalty
    groups: int = 1
    diversity_penalty: float = 0.0
    rules: PlainRules = PlainRules()

    def __call__(self, source: tuple[int, ...], limit: int) -> list[tuple[float, tuple[int, ...]]]:
        """Scores and tokens of all complete hypotheses, best first."""
        live: list[list[tuple[int, ...]]] = [[()] for _ in range(self.groups)]
        complete: set[tuple[float, tuple[int, ...]]] = set()
        for length in range(limit + 1):
            chosen: list[int] = []
            for group, prefixes in enumerate(live):
                following = range(self.table.vocabulary) if length < limit else [EOS]
                candidates = [
                    (*prefix, token) for prefix in prefixes for token in following if self.rules.allows(prefix, token)
                ]
                costs = {tokens: self.diversity_penalty * chosen.count(tokens[-1]) for tokens in candidates}
                ordered = self.divided(
                    sorted(candidates, key=lambda tokens: costs[tokens] - self.total(source, tokens))
                )
                width = self.width // self.groups
                complete |= {
                    (self.total(source, tokens) / self.penalty(float(len(tokens))), tokens[:-1])
                    for tokens in ordered[:width]
                    if tokens[-1] == EOS
                }
                live[group] = [tokens for tokens in ordered if tokens[-1] != EOS][:width]
                chosen += [tokens[-1] for tokens in live[group]]
        return sorted(complete, reverse=True)

    def total(self, source: tuple[int, ...], tokens: tuple[int, ...]) -> float:
        return self.table.prefix_log_probability(source, tokens) - self.rules.charge(tokens)

    def divided(self, ordered: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The furthest hypothesis, then the best of each bank, the second of each and so on, furthest bank first."""
        if not self.rules.required or not ordered:
            return ordered
        banks = [self.rules.bank(tokens) for tokens in ordered]
        first = max(ordered, key=self.rules.progress)
        keys = [(banks[:index].count(bank), -bank) for index, bank in enumerate(banks)]
        rest = [tokens for _, tokens in sorted(zip(keys, ordered, strict=True), key=lambda pair: pair[0])]
        return [first, *(tokens for tokens in rest if tokens != first)]


@pytest.fixture(scope="session")
def random_table() -> type[RandomTable]:
    return RandomTable


@pytest.fixture(scope="session")
def plain_rules() -> type[PlainRules]:
    return PlainRules


@pytest.fixture(scope="session")
def plain_beam_search() -> type[PlainBeamSearch]:
    return PlainBeamSearch
