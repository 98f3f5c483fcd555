"""Everything needed to translate with a run: settings, tokenizers and a model in evaluation mode."""

from dataclasses import dataclass
from pathlib import Path

from translator.checkpoints.checkpoint import (
    check_shapes,
    load_weights,
    read_checkpoint,
    read_state,
    saved_shapes,
)
from translator.checkpoints.identity import Identity, check_identity
from translator.checkpoints.run_directory import RunDirectory
from translator.checkpoints.weights import find_weights
from translator.config import Config, read_run_config
from translator.errors import CheckpointError, DamagedCheckpointError
from translator.model import Transformer, build_model, parameter_shapes
from translator.runtime.console import say
from translator.runtime.device import Machine, choose_machine
from translator.text import TokenizerPair, load_tokenizers, require_shared_ids


@dataclass(frozen=True)
class Bundle:
    """A model that is ready to use."""

    directory: Path
    """The run directory."""
    weights: str
    """Which weights of the run these are: the name of their directory."""
    step: int
    """Optimizer steps that led to the weights; of averaged weights, to the newest of them."""
    config: Config
    tokenizers: TokenizerPair
    model: Transformer
    machine: Machine
    digest: str
    """Identifies the model by content: weights, vocabulary and the settings that shape it."""


def load_bundle(
    run: str | Path,
    *,
    weights: str | None = None,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
) -> Bundle:
    """Load a run directory; `weights` are its final ones, or the best so far while it trains (`find_weights`).

    Raises `CheckpointError` for a directory that is not a run, whose weights are missing or damaged, or whose
    vocabulary or settings are not those that the weights were trained with.
    """
    directory = RunDirectory(run)
    config = read_run_config(run)
    machine = choose_machine(device, precision, threads)
    path = find_weights(directory, weights)
    if weights is None and path.parent == directory.checkpoints:
        say(f"{directory.root} has no final weights in {directory.models}; using its best checkpoint, {path.name}")
    tokenizers = load_tokenizers(run)
    require_shared_ids(config.model, tokenizers)
    identity = Identity.of(config, tokenizers)
    try:
        state, checksums = read_state(path)
        check_identity(path, state, identity, directory.root)
        # Before anything is allocated: a received run may state any size.
        check_shapes(saved_shapes(path), parameter_shapes(config.model, *tokenizers.sizes), str(path))
        checkpoint = read_checkpoint(path, with_optimizer=False)
    except DamagedCheckpointError as error:
        others = ", ".join(name for name in directory.names() if directory.weights(name) != path)
        choice = f"choose other weights with --weights ({others}), or " if others else ""
        raise CheckpointError(
            f"{error.damage}; {choice}repeat the `translator train` command, which makes up for what is damaged"
        ) from None
    model = build_model(config.model, *tokenizers.sizes, config.seed, tokenizers.target.zero_start)
    load_weights(model, checkpoint.weights, str(path))
    model.to(machine.device).eval()
    return Bundle(
        directory.root, path.name, state["step"], config, tokenizers, model, machine, identity.digest(checksums)
    )
