"""The front door of training: settings in, a finished run directory out."""

import contextlib
import dataclasses
import functools
import math
from pathlib import Path

from translator.checkpoints import RunDirectory, explained_disk_errors
from translator.checkpoints.disk import checkpoints_bytes, report_space
from translator.config import Config, parse_start, prepared_directory, read_run_config, run_directory, write_config
from translator.config.load import changed_settings
from translator.data import PreparedData, prepare
from translator.distributed.world import World, join_world
from translator.errors import CheckpointError, ConfigError
from translator.model import count_parameters
from translator.runtime.console import say
from translator.runtime.device import Machine, choose_machine, hint_about_precision
from translator.runtime.files import locked, remove_partial
from translator.runtime.host_memory import keep_freed_memory
from translator.text import copy_tokenizers
from translator.training.batch_loader import BatchLoader, should_compile
from translator.training.batch_size import find_batch_tokens, try_largest_batch
from translator.training.initial_model import initial_model
from translator.training.state import TrainingState
from translator.training.tensorboard import require_tensorboard
from translator.training.trainer import Trainer
from translator.training.update import Updater
from translator.training.validation import Validator

# Settings that may differ when a run continues: none of them changes the meaning of the steps already done.
_CHANGEABLE = (
    "run", "device", "devices", "precision", "threads", "compile", "decoding.", "data.test", "data.prepared",
    "training.max_", "training.decay_steps", "training.validat", "training.patience", "training.best_metric",
    "training.keep_", "training.average_", "training.log_every", "training.tensorboard", "training.batch_tokens",
    "training.accumulate", "training.sharded",
)  # fmt: skip


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
        run = RunDirectory(run_directory(config))
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
            data = world.main_first(lambda: prepare(config, prepared_directory(config)))
        trainer = _build_trainer(_agree(data.config, run), data, run, machine, world, held)
        final = trainer.train()
        # The weights of a run that was pruned have not been validated since.
        return TrainingResult(run.root, final.state["step"], final.state.get("bleu", math.nan))


def _build_trainer(
    config: Config, data: PreparedData, run: RunDirectory, machine: Machine, world: World, held: contextlib.ExitStack
) -> Trainer:
    """Build what training needs, write the settings, and reserve the run for this job until `held` is closed."""
    settings, model_settings = config.training, config.model
    make_model = functools.partial(initial_model, model_settings, data.tokenizers, config.seed, config.start_from)
    model = make_model()
    parameters = count_parameters(model)
    compiled = should_compile(config.compile, settings, machine)
    update = Updater(TrainingState.initial(model, settings, machine, world), settings, machine, world, compiled)
    make_batches = functools.partial(
        BatchLoader, data, settings, seed=config.seed, max_length=config.data.max_length,
        max_positions=model_settings.max_positions, compiled=compiled,
    )  # fmt: skip
    if settings.batch_tokens == "auto":
        config = _with_batch_tokens(config, find_batch_tokens(update, make_batches))
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
            _reserve(run, held)
            _write_settings(config, data.directory, run)
        needed = checkpoints_bytes(parameters, settings.keep_last, settings.keep_best, bool(settings.ema_decay))
        report_space(run.checkpoints, needed)
    world.barrier()
    positions = model_settings.max_positions
    validate = Validator(data.valid, data.tokenizers, settings, config.decoding, positions, machine, world)
    return Trainer(
        run, settings, update, batches, validate, make_model, seed=config.seed, d_model=model_settings.d_model
    )


def _agree(config: Config, run: RunDirectory) -> Config:
    """Check that the settings agree with those that the run began with; keep the batch size that was found then."""
    if not run.config.is_file() or not run.steps():
        return config
    begun = read_run_config(run.root)
    if config.training.batch_tokens == "auto" and begun.training.batch_tokens != "auto":
        config = _with_batch_tokens(config, int(begun.training.batch_tokens))
    problems = [
        f"{name}: {run.root} began with {old!r}, found {new!r}; keep it or choose another run directory"
        for name, (old, new) in changed_settings(begun, config).items()
        if not name.startswith(_CHANGEABLE)
    ]
    if problems:
        raise ConfigError(problems)
    return config


def _reserve(run: RunDirectory, held: contextlib.ExitStack) -> None:
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    try:
        held.enter_context(locked(run.checkpoints, wait=False))
    except BlockingIOError:
        raise CheckpointError(
            f"another process is training in {run.root}; wait for it or stop it, or choose another run directory "
            "with run=DIRECTORY"
        ) from None


def _write_settings(config: Config, prepared: Path, run: RunDirectory) -> None:
    """Write settings and tokenizer into the run, and remove what an interrupted process left half-written."""
    for directory in (run.checkpoints, run.models):
        directory.mkdir(parents=True, exist_ok=True)
        remove_partial(directory)
    write_config(config, run.config)
    copy_tokenizers(prepared, run.root)


def _with_batch_tokens(config: Config, size: int) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_tokens": size})})
