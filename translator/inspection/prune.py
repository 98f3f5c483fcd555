"""Runs without some of their heads: smaller and faster, and for all that a run like any other.

A head is its rows of W^Q, W^K and W^V and its columns of W^O; without them the model computes what it computed with the
head masked. Which heads, is stated, or found by what they are worth (Michel et al. 2019, section 4).
"""

import json
import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from translator.checkpoints import Checkpoint, RunDirectory, read_checkpoint, write_checkpoint
from translator.checkpoints.run_directory import FINAL
from translator.config import KINDS, Config, Head, ModelSettings, prepared_directory, read_run_config, write_config
from translator.errors import CheckpointError, ConfigError
from translator.inspection.importance import loss_of, measure_importance, model_heads
from translator.runtime.files import new_directory
from translator.text import copy_tokenizers
from translator.translation.alignment_head import ALIGNMENT
from translator.translation.word_alignment import Pair

if TYPE_CHECKING:
    from translator.checkpoints import Bundle

_ROUNDS = 8
_LAYERS = {
    "encoder": "encoder_layers.{}.self_attention.",
    "decoder": "decoder_layers.{}.self_attention.",
    "cross": "decoder_layers.{}.cross_attention.",
}


@dataclass(frozen=True)
class Choice:
    """Heads to remove, and the loss on the pairs that they were chosen by, in nats a target token."""

    heads: list[Head]
    """In the order in which they were chosen, those that are worth least first."""
    loss_before: float
    loss_after: float


def choose_heads(
    bundle: "Bundle",
    pairs: Sequence[Pair],
    *,
    count: int | None = None,
    loss_budget: float | None = None,
    kinds: Collection[str] = KINDS,
    on_progress: Callable[[int], None] | None = None,
) -> Choice:
    """Choose `count` heads of these `kinds`, or as many as the loss may rise for by `loss_budget`.

    Heads stand in for one another, so after every eighth of them the rest are measured again, with those masked that
    are chosen already. The last head of a layer is never chosen. `on_progress` hears of passes, as in
    `measure_importance`. Raises `ConfigError` where there are not so many heads.
    """
    free = [head for head in model_heads(bundle.model) if head.kind in kinds]
    blocks = {(head.kind, head.layer) for head in free}
    most = len(free) - len(blocks)
    if count is not None and count > most:
        raise ConfigError(
            [f"heads: found {count}, expected at most {most} of these {len(free)}: one stays in every layer"]
        )
    before = after = loss_of(bundle, pairs)
    budget = math.inf if loss_budget is None else loss_budget
    wanted = most if count is None else count
    size = max(1, math.ceil(wanted / _ROUNDS))
    chosen: list[Head] = []
    while len(chosen) < wanted:
        candidates = [head for head in free if head not in chosen]
        found = measure_importance(bundle, pairs, candidates, masked=chosen, on_progress=on_progress)
        ranked = _without_last(sorted(candidates, key=lambda head: found.increase[head]), chosen, free)
        added = ranked[: min(size, wanted - len(chosen))]
        loss = loss_of(bundle, pairs, [*chosen, *added])
        while loss - before > budget and added:
            added.pop()
            loss = loss_of(bundle, pairs, [*chosen, *added])
        if not added:
            break
        chosen, after = chosen + added, loss
    return Choice(chosen, before, after)


def _without_last(ranked: Sequence[Head], chosen: Sequence[Head], free: Sequence[Head]) -> list[Head]:
    """Leave out of `ranked` the best head of every layer that would otherwise lose all."""
    left = {block: sum(head[:2] == block for head in free if head not in chosen) for block in {h[:2] for h in free}}
    kept = []
    for head in ranked:
        if left[head[:2]] > 1:
            left[head[:2]] -= 1
            kept.append(head)
    return kept


def prune_run(run: str | Path, heads: Sequence[Head], output: str | Path, weights: str | None = None) -> Config:
    """Write a run without `heads` to a directory that is new or empty; return its settings.

    The weights called `weights` (as in `load_bundle`) become its final model. With them goes the newest checkpoint, or
    the one that `weights` names, optimizer included, so that training can go on: `translator train OUTPUT/config.yaml`.
    Raises `ConfigError` for heads that are unknown, repeated, or the last of their layer, and `CheckpointError` where
    the output is taken or cannot be written, or weights are missing or damaged.
    """
    directory, output = RunDirectory(run), Path(output)
    check_output(output)
    config = read_run_config(run)
    place = directory.weights(weights)
    kept, width = kept_heads(config.model, heads), config.model.width_of_head
    pruned = _pruned_config(config, kept, output, directory)
    model = read_checkpoint(place, with_optimizer=False)
    steps = directory.steps()
    step = int(place.name.removeprefix("step-")) if place.parent == directory.checkpoints else max(steps, default=None)
    checkpoint = read_checkpoint(directory.checkpoint(step)) if step is not None else None
    note = {"run": str(directory.root.resolve()), "weights": place.name, "heads": [str(head) for head in heads]}
    try:
        with new_directory(output) as partial:
            made = RunDirectory(partial)
            for folder in (made.models, made.checkpoints):
                folder.mkdir()
            # What was validated was another model.
            state = {"step": model.state["step"], "pruned": note}
            write_checkpoint(made.models / FINAL, _pruned(replace(model, state=state), kept, width))
            if checkpoint is not None and step is not None:
                state = {**checkpoint.state, "history": [], "pruned": note}
                write_checkpoint(made.checkpoint(step), _pruned(replace(checkpoint, state=state), kept, width))
            if directory.metrics.is_file():
                made.metrics.write_bytes(directory.metrics.read_bytes())
            copy_tokenizers(directory.root, partial)
            _keep_alignment(directory, partial, kept, place.name)
            write_config(pruned, made.config)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {output}: {error.strerror or error}; make room and see that it can be written, or choose "
            "another place with --output"
        ) from None
    return pruned


def check_output(output: Path) -> None:
    """Raise `CheckpointError` where no run can be written, so that it is said before heads are measured."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise CheckpointError(f"{output} exists and is not an empty directory; choose another place with --output")
    parent = next(parent for parent in output.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise CheckpointError(f"{output} cannot be made in {parent}; choose another place with --output")


def kept_heads(settings: ModelSettings, heads: Sequence[Head]) -> dict[tuple[str, int], list[int]]:
    """Return by kind and layer (from 1) the numbers, from 0, of the heads that stay, for layers that lose some.

    Raises `ConfigError` for heads that are unknown, repeated, or the last of their layer.
    """
    counts = {(kind, layer): n for kind in KINDS for layer, n in enumerate(settings.heads(kind), start=1)}
    kept = {block: list(range(n)) for block, n in counts.items()}
    problems = []
    for head in heads:
        own = kept.get((head.kind, head.layer), [])
        if head.head - 1 in own:
            own.remove(head.head - 1)
        elif head.head <= counts.get((head.kind, head.layer), 0):
            problems.append(f"heads: {head} is named twice")
        else:
            layers = ", ".join(map(str, settings.heads(head.kind)))
            problems.append(f"heads: the model has no {head}; its {head.kind} layers have {layers} heads")
    problems += [
        f"heads: nothing would be left of {kind}.{layer}; keep one of its heads"
        for (kind, layer), own in kept.items()
        if not own
    ]
    if problems:
        raise ConfigError(problems)
    return {block: own for block, own in kept.items() if len(own) < counts[block]}


def _pruned_config(config: Config, kept: dict[tuple[str, int], list[int]], output: Path, run: RunDirectory) -> Config:
    shape: dict[str, Any] = {"head_dim": config.model.width_of_head}
    for kind in KINDS:
        before = config.model.heads(kind)
        shape[f"{kind}_heads"] = [len(kept.get((kind, layer), range(n))) for layer, n in enumerate(before, start=1)]
    # Prepared data are looked for where they are.
    data = config.data
    if (prepared := prepared_directory(config, run.root)).is_dir():
        data = data.model_copy(update={"prepared": str(prepared.resolve())})
    model = config.model.model_copy(update=shape)
    return config.model_copy(update={"run": str(output), "model": model, "data": data, "start_from": None})


def _pruned(checkpoint: Checkpoint, kept: dict[tuple[str, int], list[int]], width: int) -> Checkpoint:
    """Remove heads of this `width` from weights, and from what of the optimizer's has their shape."""

    def prune(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: _prune_tensor(name, tensor, kept, width) for name, tensor in tensors.items()}

    return replace(checkpoint, weights=prune(checkpoint.weights), optimizer=prune(checkpoint.optimizer))


def _prune_tensor(name: str, tensor: Tensor, kept: dict[tuple[str, int], list[int]], width: int) -> Tensor:
    # The optimizer's have the parameter's name before a slash; a step count has no shape.
    parameter, _, _ = name.partition("/")
    for (kind, layer), own in kept.items():
        part = parameter.removeprefix(_LAYERS[kind].format(layer - 1))
        if part == parameter or tensor.dim() == 0:
            continue
        if part in ("input_weight", "input_bias"):
            return tensor.unflatten(0, (3, -1, width))[:, own].flatten(0, 2)
        if part == "output.weight":
            return tensor.unflatten(1, (-1, width))[:, own].flatten(1)
    return tensor


def _keep_alignment(run: RunDirectory, output: Path, kept: dict[tuple[str, int], list[int]], weights: str) -> None:
    """Give the head that alignments come from its new number; where it is gone, another has to be learned."""
    try:
        stored = json.loads((run.root / ALIGNMENT).read_text())
        layer, head = stored["layer"], stored["head"] - 1
        if stored["weights"] != weights:
            return
    except (OSError, ValueError, KeyError, TypeError):
        return
    own = kept.get(("cross", layer))
    if own is None or head in own:
        number = head if own is None else own.index(head)
        text = json.dumps({**stored, "head": number + 1, "weights": FINAL})
        (output / ALIGNMENT).write_text(text + "\n")
