"""The front door of training: settings in, a finished run directory out."""

import contextlib
import dataclasses
import functools
import math
from pathlib import Path

from translator.checkpoints import RunDirectory, explained_disk_errors
from translator.checkpoints.disk import checkpoints_bytes, report_space
from translator.config import (
    Config,
    complete_config,
    parse_start,
    prepared_directory,
    run_directory,
    write_config,
)
from translator.data import PreparedData, prepare
from translator.distributed.world import World, join_world
from translator.model import count_parameters
from translator.runtime.console import say
from translator.runtime.device import Machine, choose_machine, hint_about_precision
from translator.runtime.directories import remove_partial
from translator.runtime.host_memory import keep_freed_memory
from translator.text import copy_tokenizers
from translator.training.agreement import check_agreement, foresee, require_free, with_batch_tokens
from translator.training.batch_loader import BatchLoader, should_compile
from translator.training.batch_size import find_batch_tokens, try_largest_batch
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
        run.refuse_links()
        if world.is_main:
            require_free(run)
        check_agreement(foresee(config, run), run)
        if config.start_from is not None:
            # A name that does not exist must be reported before anything is prepared.
            start = parse_start(config.start_from)
            RunDirectory(start.run).weights(start.weights)
        machine = choose_machine(config.device, config.precision, config.threads)
        if machine.device.type == "cpu":
            keep_freed_memory()
        hint_about_precision(machine)
        machine = dataclasses.replace(machine, device=world.device(machine.device.type))
        if config.training.tensorboard:
            require_tensorboard()
        with explained_disk_errors(run):
            data = world.main_first(lambda: prepare(config, prepared_directory(config), functools.partial(_check, run)))
            config = check_agreement(data.config, run)
            if world.is_main:
                _reserve(run, held)
        trainer = _build_trainer(config, data, run, machine, world)
        final = trainer.train()
        # The weights of a run that was pruned have not been validated since.
        return TrainingResult(run.root, final.state["step"], final.state.get("bleu", math.nan))


def _build_trainer(config: Config, data: PreparedData, run: RunDirectory, machine: Machine, world: World) -> Trainer:
    """Build what training needs, and write the settings into the run."""
    settings, model_settings = config.training, config.model
    make_model = functools.partial(initial_model, model_settings, data.tokenizers, config.seed, config.start_from)
    if machine.device.type == "cpu" and not settings.sharded:
        require_training_memory(model_settings, data.tokenizers, bool(settings.ema_decay))
    model = make_model()
    parameters = count_parameters(model)
    compiled = should_compile(config.compile, settings, machine)
    update = Updater(TrainingState.initial(model, settings, machine, world), settings, machine, world, compiled)
    make_batches = functools.partial(
        BatchLoader, data, settings, seed=config.seed, max_length=config.data.max_length,
        max_positions=model_settings.max_positions, compiled=compiled,
    )  # fmt: skip
    if settings.batch_tokens == "auto":
        config = with_batch_tokens(config, find_batch_tokens(update, make_batches))
        settings = config.training
    batch_tokens = int(settings.batch_tokens)
    batches = make_batches(batch_tokens)
    say(
        f"{machine}{f', {world.size} processes' if world.size > 1 else ''}; {parameters:,} parameters "
        f"({config.preset}); {len(data.train):,} training pairs, {len(data.valid):,} for validation; run {run.root}"
    )
    try_largest_batch(update, batches, batch_tokens)
    if world.is_main:
        with explained_disk_errors(run):
            _write_settings(config, data.directory, run)
        needed = checkpoints_bytes(parameters, settings.keep_last, settings.keep_best, bool(settings.ema_decay))
        report_space(run.checkpoints, needed)
    world.barrier()
    positions = model_settings.max_positions
    # With language tags the references tell: there are several target languages.
    language = None if config.data.language_tags else config.data.target_language
    validate = Validator(data.valid, data.tokenizers, settings, config.decoding, positions, machine, world, language)
    return Trainer(
        run, settings, update, batches, validate, make_model, seed=config.seed, d_model=model_settings.d_model
    )


def _check(run: RunDirectory, config: Config) -> None:
    require_free(run)
    check_agreement(config, run)


def _reserve(run: RunDirectory, held: contextlib.ExitStack) -> None:
    """Keep other jobs out of the run until `held` is closed."""
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    require_free(run, held)


def _write_settings(config: Config, prepared: Path, run: RunDirectory) -> None:
    """Write settings and tokenizer into the run, and remove what an interrupted process left half-written."""
    for directory in (run.checkpoints, run.models):
        directory.mkdir(parents=True, exist_ok=True)
        remove_partial(directory)
    write_config(config, run.config)
    copy_tokenizers(prepared, run.root)
