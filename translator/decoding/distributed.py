"""Several processes that translate or score together: one reads and writes, all compute, and the order is kept."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Unpack

from translator.config import DecodingSettings
from translator.decoding.engine import Engine, SearchOptions
from translator.decoding.hypothesis import Hypothesis, Request
from translator.decoding.scoring import ScoredTarget, score_pairs
from translator.distributed.world import World
from translator.inference.steps import TransformerStepModel

Sentences = Sequence[Sequence[int]]


class _SharedCalls(ABC):
    """Calls of the main process that all processes of a job carry out together.

    The other processes call `serve`, which returns when the main process calls `close`.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def _work(self, *task: Any) -> Any:
        """Do this process's share of a task; all processes call this with the same task at the same time."""

    def _announce(self, *task: Any) -> None:
        """Send a task to the other processes; the main process calls this, and then `_work`."""
        self.world.gather(task)

    def serve(self) -> None:
        """Work on what the main process announces until it calls `close`."""
        while (task := self.world.gather(None)[0]) is not None:
            self._work(*task)

    def close(self) -> None:
        """Let `serve` return in the other processes."""
        self.world.gather(None)


class SharedEngine(_SharedCalls):
    """`Engine` of the main process, which divides every call among the processes of a job; each has its own engine."""

    def __init__(self, world: World, engine: Engine) -> None:
        super().__init__(world)
        self._engine = engine
        self._lock = threading.Lock()
        self.name, self.longest_source = engine.name, engine.longest_source

    def search(
        self, requests: Sequence[Request], settings: DecodingSettings, **options: Unpack[SearchOptions]
    ) -> list[list[Hypothesis]]:
        """See `Engine`; `on_batch` is called for this process's sentences as they finish, for the rest at the end."""
        on_batch = options.pop("on_batch", None)
        reported = 0

        def report(sentences: int) -> None:
            nonlocal reported
            reported += sentences
            if on_batch is not None:
                on_batch(sentences)

        with self._lock:
            self._announce(requests, settings, options)
            found = self._work(requests, settings, {**options, "on_batch": report})
        report(len(requests) - reported)
        return found

    def _work(
        self, requests: Sequence[Request], settings: DecodingSettings, options: SearchOptions
    ) -> list[list[Hypothesis]]:
        # Sentences of similar length go to different processes, so that all have about the same amount of work.
        order = sorted(range(len(requests)), key=lambda index: -len(requests[index].source))
        found = self.world.divide(
            [requests[index] for index in order],
            lambda part: self._engine.search(part, settings, **options),
        )
        results: list[list[Hypothesis]] = [[] for _ in requests]
        for index, hypotheses in zip(order, found, strict=True):
            results[index] = hypotheses
        return results


class SharedScorer(_SharedCalls):
    """`score_pairs` of the main process, which divides the batches of every call among the processes of a job."""

    def __init__(self, world: World, models: Sequence[TransformerStepModel], batch_tokens: int, window: int) -> None:
        super().__init__(world)
        self.models, self.window, self._batch_tokens = models, window, batch_tokens

    def score(self, sources: Sentences, targets: Sentences) -> list[ScoredTarget | None]:
        """See `score_pairs`."""
        self._announce(sources, targets)
        return self._work(sources, targets)

    def _work(self, sources: Sentences, targets: Sentences) -> list[ScoredTarget | None]:
        return score_pairs(
            self.models, sources, targets, batch_tokens=self._batch_tokens, window=self.window, world=self.world
        )
