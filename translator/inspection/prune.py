"""Pruning: runs without some of their heads, smaller and faster but otherwise like any other run.

A head is its rows of W^Q, W^K and W^V and its columns of W^O; without them the model computes the same as with the head
masked. The heads are named by the user, or chosen by their importance (Michel et al. 2019, section 4).
"""

import json
import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translator.checkpoints import (
    Bundle,
    Checkpoint,
    Identity,
    RunDirectory,
    check_identity,
    find_weights,
    read_checkpoint,
    read_state,
    warn_of_missing,
    write_checkpoint,
)
from translator.checkpoints.identity import BEGAN
from translator.checkpoints.run_directory import FINAL
from translator.config import (
    KINDS,
    Config,
    Head,
    ModelSettings,
    TrainingSettings,
    guided_head,
    prepared_directory,
    read_run_config,
    write_config,
)
from translator.errors import CheckpointError, ConfigError
from translator.inspection.importance import loss_of, measure_importance, model_heads
from translator.runtime.directories import new_directory
from translator.runtime.outputs import real_path
from translator.text import copy_tokenizers, load_tokenizers
from translator.translation.alignment_head import ALIGNMENT, stored_alignment
from translator.translation.word_alignment import Pair

_ROUNDS = 8
_LAYERS = {
    "encoder": "encoder_layers.{}.self_attention.",
    "decoder": "decoder_layers.{}.self_attention.",
    "cross": "decoder_layers.{}.cross_attention.",
}


@dataclass(frozen=True)
class Choice:
    """Heads to remove, and the loss before and after on the pairs used to choose them, in nats per target token."""

    heads: list[Head]
    """In the order of choice, least important first."""
    loss_before: float
    loss_after: float


def choose_heads(
    bundle: Bundle,
    pairs: Sequence[Pair],
    *,
    count: int | None = None,
    loss_budget: float | None = None,
    kinds: Collection[str] = KINDS,
    on_progress: Callable[[int], None] | None = None,
) -> Choice:
    """Choose `count` heads of these `kinds`, or as many as possible while the loss rises by at most `loss_budget`.

    Heads can replace each other, so after every eighth of them the rest are measured again, with the chosen ones
    masked. The last head of a layer is never chosen. `on_progress` is that of `measure_importance`. Raises
    `ConfigError` if there are fewer than `count` heads to choose from.
    """
    free = [head for head in model_heads(bundle.model) if head.kind in kinds]
    blocks = {(head.kind, head.layer) for head in free}
    most = len(free) - len(blocks)
    if count is not None and count > most:
        raise ConfigError(
            [f"heads: found {count}, expected at most {most} of these {len(free)}: every layer keeps at least one"]
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
    """Return `ranked` without the most important head of every layer that would otherwise lose all its heads."""
    left = {block: sum(head[:2] == block for head in free if head not in chosen) for block in {h[:2] for h in free}}
    kept = []
    for head in ranked:
        if left[head[:2]] > 1:
            left[head[:2]] -= 1
            kept.append(head)
    return kept


def prune_run(run: str | Path, heads: Sequence[Head], output: str | Path, weights: str | None = None) -> Config:
    """Write a run without `heads` to a new or empty directory; return its settings.

    The weights called `weights` (as in `load_bundle`) become its final model. The newest checkpoint, or the one that
    `weights` names, is written too, optimizer included, so that `translator train OUTPUT/config.yaml` can continue
    training. Raises `ConfigError` if a head is unknown, repeated or the last of its layer, and `CheckpointError` if the
    output exists or cannot be written, or if weights are missing or damaged.
    """
    directory, output = RunDirectory(run), real_path(Path(output))
    check_output(output)
    config = read_run_config(run)
    model_directory = find_weights(directory, weights)
    kept, width = kept_heads(config.model, heads), config.model.width_of_head
    pruned = _pruned_config(config, kept, output, directory)
    model = read_checkpoint(model_directory, with_optimizer=False)
    steps = directory.steps()
    step = max(steps, default=None)
    warn_of_missing(directory)
    if model_directory.parent == directory.checkpoints:
        step = int(model_directory.name.removeprefix("step-"))
    checkpoint = read_checkpoint(directory.checkpoint(step)) if step is not None else None
    tokenizers = load_tokenizers(directory.root)
    before, after = Identity.of(config, tokenizers), Identity.of(pruned, tokenizers)
    for path, found in ((model_directory, model), (directory.checkpoint(step or 0), checkpoint)):
        if found is not None:
            check_identity(path, found.state, before, directory.root)
    note = {
        "run": str(directory.root.resolve()),
        "weights": model_directory.name,
        "heads": [str(head) for head in heads],
    }
    try:
        with new_directory(output) as partial:
            made = RunDirectory(partial)
            for folder in (made.models, made.checkpoints):
                folder.mkdir()
            # The validation history belongs to the whole model.
            state = {"step": model.state["step"], "pruned": note, **after.as_state()}
            write_checkpoint(made.models / FINAL, _pruned(replace(model, state=state), kept, width))
            if checkpoint is not None and step is not None:
                state = {**checkpoint.state, "history": [], "pruned": note, **after.as_state()}
                if BEGAN in state:
                    # Its vocabulary comes with it, so that the run that it started from no longer matters.
                    state[BEGAN] = {**state[BEGAN], "start_from": None}
                write_checkpoint(made.checkpoint(step), _pruned(replace(checkpoint, state=state), kept, width))
            if directory.metrics.is_file():
                made.metrics.write_bytes(directory.metrics.read_bytes())
            copy_tokenizers(directory.root, partial)
            digests = before.digest(read_state(model_directory)[1]), after.digest(read_state(made.models / FINAL)[1])
            _keep_alignment(directory, partial, kept, model_directory.name, digests)
            write_config(pruned, made.config)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {output}: {error.strerror or error}; make room, check that it is writable, or choose "
            "another directory with --output"
        ) from None
    return pruned


def check_output(output: Path) -> None:
    """Raise `CheckpointError` if no run can be written to `output`; called before heads are measured."""
    output = real_path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise CheckpointError(f"{output} exists and is not an empty directory; choose another directory with --output")
    parent = next(parent for parent in output.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise CheckpointError(f"{output} cannot be created in {parent}; choose another directory with --output")


def kept_heads(settings: ModelSettings, heads: Sequence[Head]) -> dict[tuple[str, int], list[int]]:
    """Return the indices (from 0) of the heads kept, by kind and layer (from 1), for every layer that loses some.

    Raises `ConfigError` if a head is unknown, repeated or the last of its layer.
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
        if not config.model.attention_layers(kind):
            continue
        before = config.model.heads(kind)
        shape[f"{kind}_heads"] = [len(kept.get((kind, layer), range(n))) for layer, n in enumerate(before, start=1)]
    # The prepared data stay where they are.
    data = config.data
    if (prepared := prepared_directory(config, run.root)).is_dir():
        data = data.model_copy(update={"prepared": str(prepared.resolve())})
    model = config.model.model_copy(update=shape)
    tokenizer = config.tokenizer.model_copy(update={"extend": 0})
    changes = {
        "run": str(output),
        "model": model,
        "training": _pruned_guidance(config, kept),
        "tokenizer": tokenizer,
        "data": data,
        "start_from": None,
    }
    return config.model_copy(update=changes)


def _pruned_guidance(config: Config, kept: dict[tuple[str, int], list[int]]) -> TrainingSettings:
    """Return the training settings with the new index of the head that learns word links; without it, none does."""
    training, guided = config.training, guided_head(config.training, config.model)
    own = kept.get(("cross", guided.layer)) if guided is not None else None
    if guided is None or own is None:
        return training
    if guided.head - 1 not in own:
        return training.model_copy(update={"guided_alignment": 0.0, "guided_alignment_head": "auto"})
    head = f"{guided.layer}.{own.index(guided.head - 1) + 1}"
    return training.model_copy(update={"guided_alignment_head": head})


def _pruned(checkpoint: Checkpoint, kept: dict[tuple[str, int], list[int]], width: int) -> Checkpoint:
    """Remove heads of this `width` from the weights, and from optimizer tensors of the same shape."""

    def prune(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: _prune_tensor(name, tensor, kept, width) for name, tensor in tensors.items()}

    return replace(checkpoint, weights=prune(checkpoint.weights), optimizer=prune(checkpoint.optimizer))


def _prune_tensor(name: str, tensor: Tensor, kept: dict[tuple[str, int], list[int]], width: int) -> Tensor:
    # Optimizer tensors are called PARAMETER/NAME; a step count is a scalar.
    parameter, _, _ = name.partition("/")
    for (kind, layer), own in kept.items():
        part = parameter.removeprefix(_LAYERS[kind].format(layer - 1))
        if part == parameter or tensor.dim() == 0:
            continue
        if part in ("input_weight", "input_bias"):
            return torch.unflatten(tensor, 0, (3, -1, width))[:, own].flatten(0, 2)
        if part == "output.weight":
            return torch.unflatten(tensor, 1, (-1, width))[:, own].flatten(1)
    return tensor


def _keep_alignment(
    run: RunDirectory, output: Path, kept: dict[tuple[str, int], list[int]], weights: str, digests: tuple[str, str]
) -> None:
    """Copy the alignment head with its new index; if it is pruned, another has to be learned.

    `digests` identify the model before and after.
    """
    stored = stored_alignment(run.root)
    if stored is None or stored["weights"] != weights or stored.get("digest", digests[0]) != digests[0]:
        return
    layer, head = stored["layer"], stored["head"] - 1
    own = kept.get(("cross", layer))
    if own is None or head in own:
        index = head if own is None else own.index(head)
        text = json.dumps({**stored, "head": index + 1, "weights": FINAL, "digest": digests[1]})
        (output / ALIGNMENT).write_text(text + "\n")
