"""Ensembles: several models with one vocabulary that translate together by averaging their probabilities.

Shapes: N sentences, K hypotheses per sentence, V vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from translator.checkpoints import Bundle
from translator.decoding.step_model import State, StepModel
from translator.errors import ConfigError
from translator.inference.cuda_graphs import choose_step_model


class EnsembleStepModel:
    """`StepModel` over several members, which must have the same special tokens, vocabulary and device."""

    def __init__(self, members: Sequence[StepModel]) -> None:
        self.members = tuple(members)
        self.bos_id, self.eos_id = self.members[0].bos_id, self.members[0].eos_id
        limits = [member.max_length for member in self.members if member.max_length is not None]
        self.max_length = min(limits, default=None)

    @property
    def device(self) -> torch.device:
        return self.members[0].device

    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> State:
        return [member.start(sources, width, capacity) for member in self.members]

    def step(self, tokens: Tensor, state: State) -> Tensor:
        """See `StepModel`; the logits are the logarithms of the mean of the members' probabilities."""
        total: Tensor | None = None
        for member, own in zip(self.members, state, strict=True):
            # Averaged as logarithms, so that a token with a tiny probability in all members does not become impossible.
            logits = member.step(tokens, own).float().log_softmax(dim=-1)  # [N, K, V]
            total = logits if total is None else torch.logaddexp(total, logits)
        assert total is not None
        return total.sub_(math.log(len(self.members)))

    def select(self, state: State, sentences: Tensor | None, parents: Tensor) -> State:
        return [member.select(own, sentences, parents) for member, own in zip(self.members, state, strict=True)]

    def free_device_memory(self) -> None:
        for member in self.members:
            member.free_device_memory()


def join_step_models(bundles: Sequence[Bundle]) -> StepModel:
    """Return the step model of a loaded run, or of an ensemble of runs that `check_ensemble` accepts."""
    members = [choose_step_model(bundle) for bundle in bundles]
    return members[0] if len(members) == 1 else EnsembleStepModel(members)


def check_ensemble(bundles: Sequence[Bundle]) -> None:
    """Check that runs, whose models may differ in shape, can translate together.

    Raises `ConfigError` that names every run that does not fit the first, and what differs.
    """
    first, *others = bundles
    problems = []
    for other in others:
        differences = [
            f"the {side} vocabulary"
            for side in ("source", "target")
            if getattr(first.tokenizers, side).digest != getattr(other.tokenizers, side).digest
        ]
        if first.config.data.language_tags != other.config.data.language_tags:
            differences.append("data.language_tags")
        if first.machine != other.machine:
            differences.append(f"the device or precision ({first.machine} and {other.machine})")
        if differences:
            problems.append(
                f"with: {other.directory} differs from {first.directory} in {' and '.join(differences)}; the runs of "
                "an ensemble must be on one device and share one vocabulary (train with tokenizer.model of the first)"
            )
    if problems:
        raise ConfigError(problems)
