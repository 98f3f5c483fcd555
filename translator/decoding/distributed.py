"""Several processes translate together: one reads and writes, all of them search, and the order is kept."""

import threading
from collections.abc import Callable, Sequence

from translator.config import DecodingSettings
from translator.decoding.engine import Engine
from translator.decoding.hypothesis import Hypothesis, Request
from translator.distributed.world import World


class SharedEngine:
    """`Engine` of the main process, which shares every call out over the processes of a job, each with an engine.

    The others call `serve`, until the main process calls `close`.
    """

    def __init__(self, world: World, engine: Engine) -> None:
        self._world, self._engine = world, engine
        self._lock = threading.Lock()
        self.name, self.longest_source = engine.name, engine.longest_source

    def search(
        self,
        requests: Sequence[Request],
        settings: DecodingSettings,
        *,
        with_scores: bool = True,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[list[Hypothesis]]:
        """See `Engine`; `on_batch` hears of this process's sentences as they are done, and of the rest at the end."""
        told = 0

        def count(sentences: int) -> None:
            nonlocal told
            told += sentences
            if on_batch is not None:
                on_batch(sentences)

        with self._lock:
            self._world.gather((requests, settings, with_scores))
            found = self._search(requests, settings, with_scores, count)
        count(len(requests) - told)
        return found

    def serve(self) -> None:
        """Search what the main process asks for until it is done."""
        while (task := self._world.gather(None)[0]) is not None:
            self._search(*task, None)

    def close(self) -> None:
        """Let the others go."""
        self._world.gather(None)

    def _search(
        self,
        requests: Sequence[Request],
        settings: DecodingSettings,
        with_scores: bool,
        on_batch: Callable[[int], None] | None,
    ) -> list[list[Hypothesis]]:
        # Neighbours in length go to different processes, which then have as much to do.
        order = sorted(range(len(requests)), key=lambda place: -len(requests[place].source))
        found = self._world.divide(
            [requests[place] for place in order],
            lambda part: self._engine.search(part, settings, with_scores=with_scores, on_batch=on_batch),
        )
        results: list[list[Hypothesis]] = [[] for _ in requests]
        for place, hypotheses in zip(order, found, strict=True):
            results[place] = hypotheses
        return results
