"""The front door of training: settings in, a finished run directory out."""

import contextlib
import dataclasses
import math
from pathlib import Path

import torch

from translator.checkpoints import (
    Checkpoint,
    RunDirectory,
    average_checkpoints,
    explained_disk_errors,
    load_bundle,
    merit,
    read_checkpoint,
    read_final,
    set_aside_damaged,
    write_checkpoint,
)
from translator.checkpoints.disk import checkpoints_bytes, report_space
from translator.checkpoints.run_directory import FINAL
from translator.config import Config, parse_start, prepared_directory, read_run_config, run_directory, write_config
from translator.config.load import changed_settings
from translator.data import PreparedData, prepare
from translator.distributed.world import World, join_world
from translator.errors import CheckpointError, ConfigError
from translator.runtime.console import say
from translator.runtime.device import Machine, choose_machine, hint_about_precision
from translator.runtime.files import locked, remove_partial
from translator.runtime.memory import keep_freed_memory
from translator.text import copy_tokenizers
from translator.training.batch_loader import Batches, should_compile
from translator.training.batch_size import find_batch_tokens, try_largest_batch
from translator.training.state import begin
from translator.training.tensorboard import require_tensorboard
from translator.training.trainer import Trainer
from translator.training.validation import describe, report_validation
from translator.translation.alignment_head import keep_alignment_head, learn_alignment_head

# What may differ when a run goes on: nothing here changes the meaning of the steps already done.
_CHANGEABLE = (
    "run", "device", "devices", "precision", "threads", "compile", "decoding.", "data.test", "data.prepared",
    "training.max_", "training.decay_steps", "training.validat", "training.patience", "training.best_metric",
    "training.keep_", "training.average_", "training.log_every", "training.tensorboard", "training.batch_tokens",
    "training.accumulate", "training.sharded",
)  # fmt: skip
_ALIGNED_PAIRS = 300


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What `train` leaves behind."""

    directory: Path
    steps: int
    bleu: float
    """BLEU of the final weights on the validation set, decoded as during training; NaN where they never were."""


def train(config: Config) -> TrainingResult:
    """Make what is missing (tokenizer, prepared data), then train or resume to the end.

    Under torchrun all its processes call this and train together. Raises `ConfigError`, `DataError`,
    `CheckpointError` or `DeviceError` before any long work where it can, and `TrainingError` later.
    """
    with join_world() as world:
        return _train(config, world)


def _train(config: Config, world: World) -> TrainingResult:
    run = RunDirectory(run_directory(config))
    if config.start_from is not None:
        # A name that does not exist shall be said before anything is prepared.
        start = parse_start(config.start_from)
        RunDirectory(start.run).weights(start.weights)
    machine = _machine(config, world)
    if config.training.tensorboard:
        require_tensorboard()
    with explained_disk_errors(run):
        data = world.main_first(lambda: prepare(config, prepared_directory(config)))
    config = _agree(data.config, run)
    with contextlib.ExitStack() as held:
        return _train_prepared(_make_trainer(config, data, run, machine, world, held))


def _train_prepared(trainer: Trainer) -> TrainingResult:
    run, world = trainer.run, trainer.world
    trainer.resume()
    final = world.main_first(lambda: read_final(run))
    if trainer.has_ended() and final is not None:
        say(f"{run.root} has already ended, after step {trainer.progress.step:,}; raise training.max_steps to go on")
    else:
        trainer.train()
        final = _finish(trainer)
    # A run that was pruned has not been validated since.
    return TrainingResult(run.root, final.state["step"], final.state.get("bleu", math.nan))


def _machine(config: Config, world: World) -> Machine:
    machine = choose_machine(config.device, config.precision, config.threads)
    if machine.device.type == "cpu":
        keep_freed_memory()
    hint_about_precision(machine)
    return dataclasses.replace(machine, device=world.device(machine.device.type))


def _make_trainer(
    config: Config, data: PreparedData, run: RunDirectory, machine: Machine, world: World, held: contextlib.ExitStack
) -> Trainer:
    """Build what training needs, write the settings, and keep the run to this job until `held` is closed."""
    compiled = should_compile(config, machine)
    begun = begin(config, data.tokenizers, machine, world, compiled)
    if config.training.batch_tokens == "auto":
        size = find_batch_tokens(config, lambda other: Batches(other, data, compiled), begun.update)
        config = _with_batch_tokens(config, size)
    batches = Batches(config, data, compiled)
    settings = config.training
    say(
        f"{machine}{f', {world.size} processes' if world.size > 1 else ''}; {begun.parameters:,} parameters "
        f"({config.preset}); {len(data.train):,} training pairs, {len(data.valid):,} for validation; run {run.root}"
    )
    try_largest_batch(begun.update, batches, int(settings.batch_tokens))
    if world.is_main:
        with explained_disk_errors(run):
            _keep_others_out(run, held)
            _settle(config, data, run)
        kept = settings.keep_last, settings.keep_best
        report_space(run.checkpoints, checkpoints_bytes(begun.parameters, *kept, bool(settings.ema_decay)))
    world.barrier()
    return Trainer(config, data, run, machine, world, begun, batches)


def _agree(config: Config, run: RunDirectory) -> Config:
    """Check that the settings agree with those that the run was begun with; a batch size found then is kept."""
    if not run.config.is_file() or not run.steps():
        return config
    begun = read_run_config(run.root)
    if config.training.batch_tokens == "auto" and begun.training.batch_tokens != "auto":
        config = _with_batch_tokens(config, int(begun.training.batch_tokens))
    problems = [
        f"{name}: {run.root} was begun with {old!r}, found {new!r}; keep it or choose another run directory"
        for name, (old, new) in changed_settings(begun, config).items()
        if not name.startswith(_CHANGEABLE)
    ]
    if problems:
        raise ConfigError(problems)
    return config


def _keep_others_out(run: RunDirectory, held: contextlib.ExitStack) -> None:
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    try:
        held.enter_context(locked(run.checkpoints, wait=False))
    except BlockingIOError:
        raise CheckpointError(
            f"another process is training in {run.root}; wait for it or stop it, or choose another run directory "
            "with run=DIRECTORY"
        ) from None


def _settle(config: Config, data: PreparedData, run: RunDirectory) -> None:
    """Write settings and tokenizer into the run, and remove what an interrupted process left."""
    for directory in (run.checkpoints, run.models):
        directory.mkdir(parents=True, exist_ok=True)
        remove_partial(directory)
    write_config(config, run.config)
    copy_tokenizers(data.directory, run.root)


def _with_batch_tokens(config: Config, size: int) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_tokens": size})})


def _finish(trainer: Trainer) -> Checkpoint:
    """Choose the final weights by validation: the best checkpoint, or an average of the newest or the best."""
    settings, run, world = trainer.config.training, trainer.run, trainer.world
    world.main_first(lambda: set_aside_damaged(run))
    # One process looks, for all: directories of a shared disk may differ for a while.
    steps = world.gather(run.steps())[0]
    if not any(step in steps for step in trainer.progress.best_steps(settings.best_metric)):
        # Interrupted before its first validation, and then declared ended.
        trainer.validate_and_save()
        steps = world.gather(run.steps())[0]
    best = [step for step in trainer.progress.best_steps(settings.best_metric) if step in steps]
    chosen = _validated(trainer, read_checkpoint(run.checkpoint(best[0]), with_optimizer=False))
    chosen.state["from"] = [run.checkpoint(best[0]).name]
    groups = {"last": steps[-settings.average_last :], "best": sorted(best[: settings.average_best])}
    for name, group in groups.items():
        if len(group) > 1:
            average = average_checkpoints([run.checkpoint(step) for step in group])
            averaged = _validated(trainer, average, f"average of the {name} {len(group)} checkpoints")
            averaged.state["from"] = average.state["average_of"]
            if merit(averaged.state, settings.best_metric) >= merit(chosen.state, settings.best_metric):
                chosen = averaged
    if world.is_main:
        write_checkpoint(run.models / FINAL, chosen)
        _learn_alignment(trainer)
    world.barrier()
    say(
        f"finished after {trainer.progress.step:,} steps, {trainer.progress.target_tokens:,} target tokens and "
        f"{trainer.progress.seconds / 60.0:.1f} minutes; final weights from {', '.join(chosen.state['from'])}: "
        f"validation loss {chosen.state['loss']:.3f}, BLEU {chosen.state['bleu']:.2f}  "
        f"({chosen.state['signature']}); run {run.root}"
    )
    return chosen


def _learn_alignment(trainer: Trainer) -> None:
    """Choose by validation pairs which head alignments come from, so that no translation has to."""
    # On the CPU, as the devices may be full, or hold but parts of the model.
    bundle = load_bundle(trainer.run.root, device="cpu")
    valid, chosen = trainer.validate.dataset, trainer.validate.decoded
    chosen = chosen[:: math.ceil(len(chosen) / _ALIGNED_PAIRS)].tolist()
    sources, targets = ([side(index).tolist() for index in chosen] for side in (valid.source, valid.target))
    keep_alignment_head(bundle, learn_alignment_head(bundle, sources, targets))


def _validated(trainer: Trainer, checkpoint: Checkpoint, title: str | None = None) -> Checkpoint:
    """Validate weights; return them with the figures, as a finished model."""
    device = trainer.machine.device
    weights = {name: weight.to(device) for name, weight in checkpoint.weights.items()}
    parallel = trainer.update.parallel
    with torch.no_grad(), parallel.evaluated(parallel.pieces(weights)) as model:
        result = trainer.validate(model)
    if title is not None:
        report_validation(title, result)
        trainer.write("valid_average", checkpoints=checkpoint.state["average_of"], **describe(result))
    score = result.scores[0]
    state = {"step": checkpoint.state["step"], "bleu": score.value, "signature": score.signature, "loss": result.loss}
    return Checkpoint(checkpoint.weights, {}, state)
