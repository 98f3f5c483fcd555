"""The batches of a run: planned epoch by epoch, loaded one by one, and found again after a position in the data."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from translator.config import AugmentationSettings, TrainingSettings
from translator.data import PreparedData
from translator.data.augmentation import Augmenter
from translator.data.batch_plan import ADDED_TOKENS, Budget, count_sections, plan_section
from translator.data.batches import Batch, BatchShape, SpecialTokens, make_batch, make_linked_batch
from translator.data.mixture import Mixture
from translator.data.text_sampling import TextSampler
from translator.runtime.console import say
from translator.runtime.seeding import seed_of
from translator.training.progress import Position


class PlannedBatch(NamedTuple):
    """One batch of the plan."""

    indices: np.ndarray
    """The indices of its training pairs, int64 `[N]`."""
    seed: int
    """For what is random when the batch is made; a function of (seed, epoch, position)."""
    end: Position
    """The position in the data after this batch."""


class BatchLoader:
    """Plans and makes the batches of training; the plan is a pure function of (seed, epoch) and the settings.

    It is the same on every device: only the filler differs if the model is `compiled` for one shape.
    """

    def __init__(
        self, data: PreparedData, settings: TrainingSettings, batch_tokens: int, *,
        seed: int, max_length: int, max_positions: int, compiled: bool = False,
        augmentation: AugmentationSettings | None = None,
    ) -> None:  # fmt: skip
        """`batch_tokens` are target tokens of a batch; `max_length` is the longest side of a pair in pieces
        (`data.max_length`), `max_positions` the longest sequence of the model (`model.max_positions`)."""
        self.dataset = data.train
        self._stages = [
            (stage.until, Mixture.of(data.mixture.sizes, stage.weights) if data.mixture is not None else None)
            for stage in settings.stages
        ] or [(None, data.mixture)]
        self.order, self.seed = settings.order, seed
        self._with_links = bool(settings.guided_alignment)
        self.special_tokens = SpecialTokens.of(data.tokenizers)
        self.shape, self.budget = BatchShape(), Budget(batch_tokens)
        if compiled or settings.order == "random":
            fixed = BatchShape.fixed(data.train, batch_tokens, max_length, data.mixture)
            self.shape = fixed if compiled else self.shape
            self.budget = fixed.budget if settings.order == "random" else self.budget
        self.sampler: TextSampler | None = None
        augmenter = Augmenter(augmentation) if augmentation is not None and augmentation.is_on else None
        if settings.subword_sampling or augmenter is not None:
            longest = (self.shape.max_length or max_positions) - ADDED_TOKENS
            self.sampler = TextSampler(
                data.train, data.tokenizers, settings.subword_sampling, longest, self.budget, augmenter
            )
            self.budget = _shrink(self.budget, *self.sampler.growth())

    def begins_stage(self, step: int) -> bool:
        """Whether a stage of `training.stages` begins after this many steps; then the current epoch is left."""
        return any(until is not None and until.unit == "steps" and until.amount == step for until, _ in self._stages)

    def after(self, position: Position, step: int = 0) -> Iterator[PlannedBatch]:
        """Yield the batches after a position that training reaches after `step` steps, endlessly.

        Stages that begin with an epoch are followed; where one `begins_stage`, the caller starts again.
        """
        epoch, first, planned, section = position
        sections = count_sections(len(self.dataset))
        while True:
            plan = self._plan(epoch, section, step)
            if planned not in (0, len(plan)):
                # The batch size was changed inside an epoch.
                first = first * len(plan) // planned
                say(
                    f"the batch size has changed: training continues from the same point of epoch {epoch} (batch "
                    f"{first:,} of {len(plan):,}), so some pairs may come twice or not at all"
                )
            following = Position(epoch, section=section + 1) if section + 1 < sections else Position(epoch + 1)
            extra = (section,) if section else ()
            for index in range(first, len(plan)):
                last = index + 1 == len(plan)
                end = following if last else Position(epoch, index + 1, len(plan), section)
                yield PlannedBatch(plan[index], seed_of(self.seed, epoch, index, *extra), end)
            epoch, first, planned, section = following

    def load(self, planned: PlannedBatch) -> Batch:
        """Make a planned batch, on the CPU."""
        pairs = self.sampler.seeded(planned.seed) if self.sampler is not None else self.dataset
        make = make_linked_batch if self._with_links else make_batch
        return make(pairs, planned.indices, self.special_tokens, self.shape)

    def largest(self) -> list[Batch]:
        """Return the batches of a first section that need the most memory: in tokens, in cells of padded attention."""
        plan = self._plan(0, 0, 0)
        source, target = self.dataset.source_lengths, self.dataset.target_lengths
        tokens, cells = [], []
        for indices in plan:
            longest_source, longest_target = int(source[indices].max()), int(target[indices].max())
            tokens.append(int(source[indices].sum()) + int(target[indices].sum()))
            cells.append(len(indices) * (longest_source + longest_target) ** 2)
        chosen = sorted({int(np.argmax(tokens)), int(np.argmax(cells))})
        return [self.load(PlannedBatch(plan[index], seed_of(self.seed, 0, index), Position())) for index in chosen]

    def _plan(self, epoch: int, section: int, step: int) -> list[np.ndarray]:
        mixture = next(
            mixture
            for until, mixture in self._stages
            if until is None or (epoch if until.unit == "epochs" else step) < until.amount
        )
        return plan_section(self.dataset, self.budget, self.order, self.seed, epoch, section, mixture)


def _shrink(budget: Budget, source: float, target: float) -> Budget:
    """Leave room for sampled pieces, of which there are more by these factors."""
    source_tokens = int(budget.source_tokens / source) if budget.source_tokens is not None else None
    return Budget(max(1, int(budget.target_tokens / target)), source_tokens, budget.sentences, budget.longest_filler)
