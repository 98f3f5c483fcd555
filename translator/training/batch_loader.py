"""The batches of a run: their plan, their place in the data, and what they are made from."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from translator.config import Config
from translator.data import PreparedData
from translator.data.batches import MARK, Batch, BatchShape, Budget, Marks, make_batch, plan_epoch
from translator.data.subword_sampling import SubwordSampler
from translator.runtime.console import say
from translator.runtime.device import Machine
from translator.runtime.seeding import seed_of
from translator.training.progress import Progress


class Drawn(NamedTuple):
    """One batch of the plan."""

    indices: np.ndarray
    """Which training pairs, int64 `[N]`."""
    seed: int
    """For what is drawn at random when the batch is made; it belongs to its place in the data."""


class Batches:
    """Plans and makes the batches of training; the plan is a pure function of (seed, epoch) and the settings.

    It is the same on every device: only what is filled in differs where the model is `compiled` for one shape.
    """

    def __init__(self, config: Config, data: PreparedData, compiled: bool) -> None:
        settings, tokenizers = config.training, data.tokenizers
        self.dataset, self.mixture = data.train, data.mixture
        self.order, self.seed = settings.order, config.seed
        self.marks = Marks.of(tokenizers)
        batch_tokens = int(settings.batch_tokens)
        fixed = BatchShape.fixed(data.train, batch_tokens, config.data.max_length)
        self.shape = fixed if compiled else BatchShape()
        self.budget = fixed.budget if settings.order == "random" else Budget(batch_tokens)
        self.sampler: SubwordSampler | None = None
        if settings.subword_sampling:
            longest = self.shape.max_length or config.model.max_positions
            self.sampler = SubwordSampler(
                data.train, tokenizers, settings.subword_sampling, longest - MARK, self.budget
            )
            self.budget = _smaller(self.budget, *self.sampler.growth())

    def after(self, progress: Progress) -> Iterator[Drawn]:
        """Yield the batches after a position, for ever, moving `progress` on before each is given out."""
        while True:
            epoch = progress.epoch
            plan = self._plan(epoch)
            if progress.epoch_batches not in (0, len(plan)):
                # The batch size was changed inside an epoch.
                progress.position = progress.position * len(plan) // progress.epoch_batches
                say(
                    f"the batch size has changed: training goes on from the same point of epoch {epoch} (batch "
                    f"{progress.position:,} of {len(plan):,}), where some pairs may come twice or not at all"
                )
            for place in range(progress.position, len(plan)):
                if place + 1 < len(plan):
                    progress.position, progress.epoch_batches = place + 1, len(plan)
                else:
                    progress.epoch, progress.position, progress.epoch_batches = epoch + 1, 0, 0
                yield Drawn(plan[place], seed_of(self.seed, epoch, place))

    def make(self, drawn: Drawn) -> Batch:
        """Make a batch, on the CPU."""
        pairs = self.sampler.seeded(drawn.seed) if self.sampler is not None else self.dataset
        return make_batch(pairs, drawn.indices, self.marks, self.shape)

    def hardest(self) -> Iterator[Batch]:
        """Make the batches of an epoch that need the most memory: in tokens, and in cells of padded attention."""
        plan = self._plan(0)
        source, target = self.dataset.source_lengths, self.dataset.target_lengths
        tokens, cells = [], []
        for indices in plan:
            longest_source, longest_target = int(source[indices].max()), int(target[indices].max())
            tokens.append(int(source[indices].sum()) + int(target[indices].sum()))
            cells.append(len(indices) * (longest_source + longest_target) ** 2)
        places = {int(np.argmax(tokens)), int(np.argmax(cells))}
        for place in sorted(places):
            yield self.make(Drawn(plan[place], seed_of(self.seed, 0, place)))

    def _plan(self, epoch: int) -> list[np.ndarray]:
        return plan_epoch(self.dataset, self.budget, self.order, self.seed, epoch, self.mixture)


def _smaller(budget: Budget, source: float, target: float) -> Budget:
    """Leave room for sampled pieces, which are more by these factors."""
    source_tokens = int(budget.source_tokens / source) if budget.source_tokens is not None else None
    return Budget(max(1, int(budget.target_tokens / target)), source_tokens, budget.sentences)


def should_compile(config: Config, machine: Machine) -> bool:
    """Whether the model is compiled, for which all batches are filled up to one shape."""
    wanted = machine.device.type == "cuda" if config.compile is None else config.compile
    if wanted and config.training.sharded:
        say("the model is not compiled, since its parameters are sharded")
        return False
    if wanted and config.training.order == "bucketed":
        say(
            "the model is not compiled, since bucketed batches have many shapes; "
            "training.order=random is usually faster on a GPU"
        )
        return False
    return wanted
