"""The front door of training: settings in, a finished run directory out."""

from dataclasses import dataclass
from pathlib import Path

from translator.checkpoints import (
    Checkpoint,
    RunDirectory,
    average_checkpoints,
    load_weights,
    model_tensors,
    read_checkpoint,
    write_checkpoint,
)
from translator.checkpoints.run import FINAL
from translator.config import Config, prepared_directory, read_run_config, run_directory, write_config
from translator.config.load import changed_settings
from translator.data import PreparedData, prepare
from translator.errors import ConfigError
from translator.model import count_parameters
from translator.runtime.console import say
from translator.runtime.device import choose_machine
from translator.runtime.files import remove_partial
from translator.runtime.memory import keep_freed_memory
from translator.text import copy_tokenizers
from translator.training.trainer import Trainer, describe, report_validation

# What may differ when a run goes on: nothing here changes the meaning of the steps already done.
_CHANGEABLE = (
    "run", "device", "precision", "threads", "compile", "decoding.", "data.test", "data.prepared",
    "training.max_steps", "training.max_epochs", "training.decay_steps", "training.validat", "training.patience",
    "training.best_metric", "training.keep_", "training.average_last", "training.log_every",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingResult:
    """What `train` leaves behind."""

    directory: Path
    steps: int
    bleu: float
    """BLEU of the final weights on the validation set, decoded as during training."""


def train(config: Config) -> TrainingResult:
    """Make what is missing (tokenizer, prepared data), then train or resume to the end.

    Raises `ConfigError`, `DataError`, `CheckpointError` or `DeviceError` before any long work where it can.
    """
    run = RunDirectory(run_directory(config))
    machine = choose_machine(config.device, config.precision, config.threads)
    if machine.device.type == "cpu":
        keep_freed_memory()
    data = prepare(config, prepared_directory(config))
    config = data.config
    _settle(config, data, run)
    trainer = Trainer(config, data, run, machine)
    say(
        f"{machine}; {count_parameters(trainer.model):,} parameters ({config.preset}); "
        f"{len(data.train):,} training pairs, {len(data.valid):,} for validation; run {run.root}"
    )
    trainer.resume()
    if trainer.has_ended() and (run.models / FINAL).is_dir():
        say(f"{run.root} has already ended, after step {trainer.progress.step:,}; raise training.max_steps to go on")
    else:
        trainer.train()
        _finish(trainer)
    final = read_checkpoint(run.models / FINAL, with_optimizer=False)
    return TrainingResult(run.root, final.state["step"], final.state["bleu"])


def _settle(config: Config, data: PreparedData, run: RunDirectory) -> None:
    """Write settings and tokenizer into the run, or check that they agree with those it was begun with."""
    if run.config.is_file() and run.steps():
        changes = changed_settings(read_run_config(run.root), config)
        problems = [
            f"{name}: {run.root} was begun with {old!r}, found {new!r}; keep it or choose another run directory"
            for name, (old, new) in changes.items()
            if not name.startswith(_CHANGEABLE)
        ]
        if problems:
            raise ConfigError(problems)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    remove_partial(run.checkpoints)
    write_config(config, run.config)
    copy_tokenizers(data.directory, run.root)


def _finish(trainer: Trainer) -> None:
    """Choose the final weights by validation: the average of the newest checkpoints or the best of all."""
    settings, run = trainer.config.training, trainer.run
    if not any(step in run.steps() for step in trainer.progress.best_steps(settings.best_metric)):
        # Interrupted before its first validation, and then declared ended.
        trainer.validate_and_save()
    best = next(step for step in trainer.progress.best_steps(settings.best_metric) if step in run.steps())
    path = run.checkpoint(best)
    chosen = Checkpoint(read_checkpoint(path, with_optimizer=False).weights, {}, {"step": best, "from": [path.name]})
    load_weights(trainer.model, chosen.weights, str(path))
    result = trainer.validate(trainer.model)
    paths = [run.checkpoint(step) for step in run.steps()[-settings.average_last :]]
    if len(paths) > 1:
        average = average_checkpoints(paths)
        load_weights(trainer.model, average.weights, "the average")
        averaged = trainer.validate(trainer.model)
        report_validation(f"average of the last {len(paths)} checkpoints", averaged)
        trainer.metrics.write("valid_average", checkpoints=average.state["average_of"], **describe(averaged))
        better = averaged.bleu >= result.bleu if settings.best_metric == "bleu" else averaged.loss <= result.loss
        if better:
            names = average.state["average_of"]
            chosen = Checkpoint(average.weights, {}, {"step": average.state["step"], "from": names})
            result = averaged
    load_weights(trainer.model, chosen.weights, "the final weights")
    state = {**chosen.state, "bleu": result.bleu, "loss": result.loss}
    write_checkpoint(run.models / FINAL, Checkpoint(model_tensors(trainer.model), {}, state))
    minutes = trainer.progress.seconds / 60.0
    say(
        f"finished after {trainer.progress.step:,} steps, {trainer.progress.target_tokens:,} target tokens and "
        f"{minutes:.1f} minutes; final weights from {', '.join(chosen.state['from'])}: "
        f"validation loss {result.loss:.3f}, {result.scores[0]}; run {run.root}"
    )
