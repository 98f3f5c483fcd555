"""Step functions made of numbers, so that searches are tested without a model."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

BOS, EOS = 1, 2


@dataclass
class TableState:
    """The source of every sentence and the pieces of every hypothesis."""

    sources: list[tuple[int, ...]]
    prefixes: list[list[tuple[int, ...]]]


class TableSteps:
    """`Steps` whose logits are any function of (source, prefix); counts its calls."""

    bos_id, eos_id, max_length = BOS, EOS, None
    device = torch.device("cpu")

    def __init__(self, logits: Callable[[tuple[int, ...], tuple[int, ...]], Sequence[float]]) -> None:
        self.logits = logits
        self.calls = 0
        self.capacity = 0

    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> TableState:
        assert all(len(source) for source in sources)
        self.capacity = capacity
        self.calls = 0
        return TableState([tuple(source) for source in sources], [[()] * width for _ in sources])

    def step(self, tokens: Tensor, state: TableState) -> Tensor:
        self.calls += 1
        assert self.calls <= self.capacity
        for row, hypotheses in zip(tokens.tolist(), state.prefixes, strict=True):
            hypotheses[:] = [(*prefix, token) for prefix, token in zip(hypotheses, row, strict=True)]
            assert all(prefix[0] == BOS for prefix in hypotheses)
        return torch.tensor(
            [
                [self.logits(source, prefix[1:]) for prefix in hypotheses]
                for source, hypotheses in zip(state.sources, state.prefixes, strict=True)
            ]
        )

    def select(self, state: TableState, sentences: Tensor | None, parents: Tensor) -> TableState:
        rows = list(range(len(state.sources))) if sentences is None else sentences.tolist()
        return TableState(
            [state.sources[row] for row in rows],
            [
                [state.prefixes[row][parent] for parent in line]
                for row, line in zip(rows, parents.tolist(), strict=True)
            ],
        )


class RandomTable:
    """Random logits for every context: a function of (seed, source, prefix) alone."""

    def __init__(self, vocabulary: int, seed: int, spread: float = 2.0, end_bias: float = 0.0) -> None:
        self.vocabulary, self.seed, self.spread, self.end_bias = vocabulary, seed, spread, end_bias
        self.known: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = {}

    def __call__(self, source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        if (source, prefix) not in self.known:
            generator = torch.Generator().manual_seed(hash((self.seed, source, prefix)) % 2**63)
            logits = torch.randn(self.vocabulary, generator=generator) * self.spread
            logits[EOS] += self.end_bias
            self.known[source, prefix] = logits.tolist()
        return self.known[source, prefix]

    def log_probability(self, source: tuple[int, ...], tokens: Sequence[int]) -> float:
        """The log-probability of a whole sentence, end mark included, summed in double precision."""
        total = 0.0
        prefix: tuple[int, ...] = ()
        for token in (*tokens, EOS):
            logits = self(source, prefix)
            total += logits[token] - math.log(sum(math.exp(logit) for logit in logits))
            prefix = (*prefix, token)
        return total

    def sentences(self, limit: int) -> list[tuple[int, ...]]:
        """All sentences of at most `limit` pieces."""
        pieces = [piece for piece in range(self.vocabulary) if piece != EOS]
        return [tokens for n in range(limit + 1) for tokens in itertools.product(pieces, repeat=n)]


@pytest.fixture(scope="session")
def random_table() -> type[RandomTable]:
    return RandomTable


@pytest.fixture(scope="session")
def table_steps() -> type[TableSteps]:
    return TableSteps
