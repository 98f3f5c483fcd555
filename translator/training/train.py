"""The front door of training: settings in, a finished run directory out."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from translator.checkpoints import Base, Identity, RunDirectory, explained_disk_errors
from translator.checkpoints.disk import checkpoints_bytes, report_space
from translator.checkpoints.identity import BEGAN
from translator.config import (
    Config,
    complete_config,
    prepared_directory,
    run_directory,
    write_config,
)
from translator.data import PreparedData, prepare
from translator.data.vocabulary_fit import misfits
from translator.distributed.world import World, join_world
from translator.model import count_parameters
from translator.runtime.console import say, warn
from translator.runtime.counted import counted
from translator.runtime.device import Machine, choose_machine, hint_about_precision
from translator.runtime.directories import remove_partial
from translator.runtime.host_memory import keep_freed_memory
from translator.text import copy_tokenizers
from translator.training.agreement import (
    check_agreement,
    foresee,
    keep_normalization,
    keep_preset,
    require_free,
    with_batch_tokens,
)
from translator.training.batch_loader import BatchLoader
from translator.training.batch_size import find_batch_tokens, try_largest_batch, warn_of_long_training
from translator.training.compilation import choose_order, should_compile
from translator.training.continuation import BegunRun, began_with
from translator.training.initial_model import initial_model, require_training_memory
from translator.training.state import TrainingState
from translator.training.tensorboard import require_tensorboard
from translator.training.trainer import Trainer
from translator.training.update import Updater
from translator.training.validation import Validator


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """The result of `train`."""

    directory: Path
    steps: int
    bleu: float
    """BLEU of the final weights on the validation set, decoded as during training; NaN if they were never validated."""


def train(config: Config) -> TrainingResult:
    """Make what is missing (tokenizer, prepared data), then train or resume to the end.

    Under torchrun all its processes call this and train together. Raises `ConfigError`, `DataError`,
    `CheckpointError` or `DeviceError`, before any long work if possible, and `TrainingError` later.
    """
    with join_world() as world, contextlib.ExitStack() as held:
        # All checks before any work, and whatever only the corpora can tell before anything is replaced.
        config = complete_config(config)
        run = RunDirectory(run_directory(config))
        config = keep_normalization(keep_preset(config, run), run)
        run.refuse_links()
        run.refuse_odd_metrics()
        if world.is_main:
            require_free(run)
        planned = foresee(config, run)
        check_agreement(planned, run)
        # The main process looks, for all; the others hear of an end.
        planned = planned.model_copy(update={"data": config.data})
        ended = world.gather(_check_begun(planned, run) if world.is_main else None)[0]
        if ended is not None:
            return _result(run, ended)
        begun = BegunRun.find(run)
        machine = choose_machine(config.device, config.precision, config.threads)
        if machine.device.type == "cpu":
            keep_freed_memory()
        hint_about_precision(machine)
        machine = dataclasses.replace(machine, device=world.device(machine.device.type))
        if config.training.tensorboard:
            require_tensorboard()
        with explained_disk_errors(run):
            check = functools.partial(_check, run)
            required = begun.as_requirement() if begun is not None else None
            data = prepare(config, prepared_directory(config), check, required, world)
            config = choose_order(check_agreement(data.config, run), machine)
            if world.is_main:
                _reserve(run, held)
        trainer = _build_trainer(config, data, run, machine, world, begun)
        return _result(run, trainer.train().state)


def _check_begun(config: Config, run: RunDirectory) -> Mapping[str, Any] | None:
    """Check that the run, if it has weights, can be continued; return the state of its final model if it has ended."""
    begun = BegunRun.find(run)
    if begun is not None:
        if (ended := begun.ended(config)) is not None:
            return ended
        begun.check(config)
    elif config.start_from is not None:
        # What is wrong with the base must be reported before anything is prepared.
        Base.read(config.start_from)
    return None


def _result(run: RunDirectory, final: Mapping[str, Any]) -> TrainingResult:
    # The weights of a run that was pruned have not been validated since.
    return TrainingResult(run.root, final["step"], final.get("bleu", math.nan))


def _build_trainer(
    config: Config, data: PreparedData, run: RunDirectory, machine: Machine, world: World, begun: BegunRun | None
) -> Trainer:
    """Build what training needs, and write the settings into the run."""
    settings, model_settings = config.training, config.model
    make_model = functools.partial(initial_model, model_settings, data.tokenizers, config.seed, config.start_from)
    if machine.device.type == "cpu" and not settings.sharded:
        require_training_memory(model_settings, data.tokenizers, bool(settings.ema_decay))
    model = make_model()
    parameters = count_parameters(model)
    compiled = should_compile(config, machine)
    update = Updater(TrainingState.initial(model, settings, machine, world), settings, machine, world)
    make_batches = functools.partial(
        BatchLoader, data, settings, seed=config.seed, max_length=config.data.max_length,
        max_positions=model_settings.max_positions, compiled=compiled, augmentation=config.augmentation,
    )  # fmt: skip
    if settings.batch_tokens == "auto":
        config = with_batch_tokens(config, find_batch_tokens(update, make_batches))
        settings = config.training
    if compiled:
        say("the model is being compiled, which may take a minute or two")
        update.compile()
    batch_tokens = int(settings.batch_tokens)
    batches = make_batches(batch_tokens)
    say(
        f"{machine}{f', {world.size} processes' if world.size > 1 else ''}; {parameters:,} parameters "
        f"({config.preset}); {counted(len(data.train), 'training pair')}, {len(data.valid):,} for validation; run "
        f"{run.root}"
    )
    if world.is_main:
        for misfit in misfits(data.train, data.tokenizers):
            warn(misfit)
    seconds = try_largest_batch(update, batches, batch_tokens)
    if machine.device.type == "cpu":
        target_tokens = int(data.train.target_lengths.sum(dtype="int64")) + len(data.train)
        warn_of_long_training(config, seconds, target_tokens, world.size)
    if world.is_main:
        with explained_disk_errors(run):
            _write_settings(config, data.directory, run, begun)
        kept = settings.keep_last + settings.keep_best
        if settings.keep_every is not None:
            kept += settings.max_steps // settings.keep_every
        needed = checkpoints_bytes(parameters, kept, bool(settings.ema_decay))
        report_space(run.checkpoints, needed)
    world.barrier()
    positions = model_settings.max_positions
    # With language tags the references tell: there are several target languages.
    language = None if config.data.language_tags else config.data.target_language
    validate = Validator(data.valid, data.tokenizers, settings, config.decoding, positions, machine, world, language)
    if begun is not None and BEGAN in begun.state:
        began = {BEGAN: begun.state[BEGAN]}
    else:
        began = began_with(data, config.start_from)
        if begun is not None:
            say(f"{run.root} was begun by an older version; what it saves from now on is bound to its vocabulary")
    return Trainer(
        run, settings, update, batches, validate, make_model, seed=config.seed, d_model=model_settings.d_model,
        identity=Identity.of(config, data.tokenizers), began_with=began,
    )  # fmt: skip


def _check(run: RunDirectory, config: Config) -> None:
    require_free(run)
    check_agreement(config, run)


def _reserve(run: RunDirectory, held: contextlib.ExitStack) -> None:
    """Keep other jobs out of the run until `held` is closed."""
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    require_free(run, held)


def _write_settings(config: Config, prepared: Path, run: RunDirectory, begun: BegunRun | None) -> None:
    """Write settings and tokenizer into the run, and remove what an interrupted process left half-written."""
    for directory in (run.checkpoints, run.models):
        directory.mkdir(parents=True, exist_ok=True)
        remove_partial(directory)
    write_config(config, run.config)
    if begun is None:
        copy_tokenizers(prepared, run.root)
