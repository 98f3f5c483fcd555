"""The training loop: updates, log points, validations, checkpoints, and when to stop."""

import time
from typing import Any

import torch

from translator.checkpoints import Checkpoint, RunDirectory, load_weights, model_tensors, read_checkpoint
from translator.checkpoints.store import write_checkpoint
from translator.config import Config
from translator.data import PreparedData
from translator.data.batches import BatchShape, Budget, Marks, make_batch
from translator.model import build_model
from translator.runtime.console import progress as progress_bar
from translator.runtime.console import say, warn
from translator.runtime.device import Machine
from translator.runtime.metrics import MetricsLog
from translator.runtime.random import seed_step
from translator.runtime.signals import Interruption
from translator.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer, set_learning_rate
from translator.training.progress import Progress, batches_from
from translator.training.schedule import learning_rate
from translator.training.update import Forward, Updater, UpdateSums
from translator.training.validation import Validation, Validator


class Trainer:
    """Trains the model of a run from its newest checkpoint, or from the beginning, to its end."""

    def __init__(self, config: Config, data: PreparedData, run: RunDirectory, machine: Machine) -> None:
        self.config, self.data, self.run, self.machine = config, data, run, machine
        tokenizers = data.tokenizers
        self.marks = Marks(tokenizers.source.eos_id, tokenizers.target.bos_id, tokenizers.target.eos_id)
        self.model = build_model(
            config.model, tokenizers.source.vocab_size, tokenizers.target.vocab_size, config.seed
        ).to(machine.device)
        self.optimizer = make_optimizer(self.model, config.training)
        settings = config.training
        # The budget depends on settings only: the batches of a run are the same on every device.
        fixed = BatchShape.fixed(data.train, settings.batch_tokens, config.data.max_length)
        self.budget = fixed.budget if settings.order == "random" else Budget(settings.batch_tokens)
        compiled = should_compile(config, machine)
        self.shape = fixed if compiled else BatchShape()
        forward: Forward = torch.compile(self.model, dynamic=False) if compiled else self.model
        self.update = Updater(
            self.model, self.optimizer, machine, settings.label_smoothing, settings.clip_norm, forward
        )
        self.validate = Validator(config, data.valid, tokenizers, machine)
        self.metrics = MetricsLog(run.metrics)
        self.progress = Progress()

    def resume(self) -> None:
        """Continue from the newest checkpoint where there is one."""
        steps = self.run.steps()
        if not steps:
            return
        path = self.run.checkpoint(steps[-1])
        checkpoint = read_checkpoint(path)
        load_weights(self.model, checkpoint.weights, str(path))
        restore_optimizer(self.model, self.optimizer, checkpoint.optimizer)
        self.progress = Progress.from_state(checkpoint.state)
        if self.update.scaler.is_enabled() and checkpoint.state.get("scaler"):
            self.update.scaler.load_state_dict(checkpoint.state["scaler"])
        say(f"resuming after step {self.progress.step:,} from {path}")

    def has_ended(self) -> bool:
        """Whether there is nothing left to train under the present settings."""
        settings, progress = self.config.training, self.progress
        if progress.step >= settings.max_steps:
            return True
        if settings.max_epochs is not None and progress.epoch >= settings.max_epochs:
            return True
        patience = settings.patience
        return patience is not None and progress.stale_validations(settings.best_metric) >= patience

    def train(self) -> None:
        """Train to the end, or until interrupted; a checkpoint of the last step exists afterwards.

        Raises `SystemExit` with 130 or 143 after saving for SIGINT or SIGTERM.
        """
        settings, progress = self.config.training, self.progress
        batches = batches_from(self.data.train, self.budget, settings.order, self.config.seed, progress)
        window = _Window()
        bar = progress_bar(description="training", total=settings.max_steps, unit=" steps", initial=progress.step)
        with bar, Interruption() as interruption:
            while not self.has_ended():
                epochs_before, began = progress.epoch, time.monotonic()
                sums = self._step(batches)
                window.add(sums, time.monotonic() - began)
                bar.update()
                if progress.step % settings.log_every == 0:
                    bar.set_postfix_str(self._log(window))
                    window = _Window()
                progress.seconds += time.monotonic() - began
                if progress.is_due(settings.validate_every, epochs_before) or self.has_ended():
                    self.validate_and_save()
                if interruption.signal is not None:
                    if self.run.steps()[-1:] != [progress.step]:
                        self._save()
                    say(f"stopped by {interruption.signal.name} after step {progress.step:,}; "
                        "the same command continues from here")  # fmt: skip
                    raise SystemExit(interruption.exit_code)

    def _step(self, batches: Any) -> UpdateSums:
        settings, progress = self.config.training, self.progress
        seed_step(self.config.seed, progress.step)
        self.model.train()
        group = [make_batch(self.data.train, next(batches), self.marks, self.shape) for _ in range(settings.accumulate)]
        set_learning_rate(self.optimizer, learning_rate(settings, progress.step + 1))
        sums = self.update(group)
        progress.step += 1
        progress.target_tokens += sums.target_tokens
        return sums

    def _log(self, window: "_Window") -> str:
        """Write a line of metrics; the only place where training waits for the device."""
        figures = window.figures()
        rate = learning_rate(self.config.training, self.progress.step)
        self.metrics.write(
            "train",
            step=self.progress.step,
            epoch=self.progress.epoch,
            target_tokens=self.progress.target_tokens,
            learning_rate=rate,
            **figures,
        )
        if figures["skipped"]:
            warn(
                f"{figures['skipped']} of the last {window.steps} steps had a gradient that is not finite and were "
                "skipped; if this goes on, lower training.learning_rate or set precision=fp32"
            )
        return f"loss {figures['loss']:.3f}, {figures['tokens_per_second']:,.0f} tokens/s, lr {rate:.2e}"

    def validate_and_save(self) -> None:
        """Validate the present weights, report, and write a checkpoint of them."""
        began, progress = time.monotonic(), self.progress
        result = self.validate(self.model)
        progress.history.append({"step": progress.step, "loss": result.loss, "bleu": result.bleu})
        progress.seconds += time.monotonic() - began
        report_validation(f"step {progress.step:,}, epoch {progress.epoch}", result)
        self.metrics.write("valid", step=progress.step, epoch=progress.epoch, **describe(result))
        self._save()

    def _save(self) -> None:
        """Write a checkpoint of this step and remove those that are neither among the newest nor the best."""
        settings, progress = self.config.training, self.progress
        scaler = self.update.scaler.state_dict() if self.update.scaler.is_enabled() else None
        state = {**progress.to_state(), "scaler": scaler}
        weights = model_tensors(self.model)
        optimizer = optimizer_tensors(self.model, self.optimizer)
        write_checkpoint(self.run.checkpoint(progress.step), Checkpoint(weights, optimizer, state))
        steps = self.run.steps()
        best = [step for step in progress.best_steps(settings.best_metric) if step in steps]
        kept = {*steps[-settings.keep_last :], *best[: settings.keep_best]}
        for step in steps:
            if step not in kept:
                self.run.remove_checkpoint(step)


def should_compile(config: Config, machine: Machine) -> bool:
    """Whether the model is compiled, for which all batches are filled up to one shape."""
    wanted = machine.device.type == "cuda" if config.compile is None else config.compile
    if wanted and config.training.order == "bucketed":
        say(
            "the model is not compiled, since bucketed batches have many shapes; "
            "training.order=random is usually faster on a GPU"
        )
        return False
    return wanted


class _Window:
    """Sums between two log points, on the device until they are asked for."""

    def __init__(self) -> None:
        self.sums: list[UpdateSums] = []
        self.seconds = 0.0

    def add(self, sums: UpdateSums, seconds: float) -> None:
        self.sums.append(sums)
        self.seconds += seconds

    @property
    def steps(self) -> int:
        return len(self.sums)

    def figures(self) -> dict[str, Any]:
        began = time.monotonic()
        tokens = sum(sums.target_tokens for sums in self.sums)
        columns = zip(*((s.smoothed, s.nll, s.gradient_norm, s.skipped) for s in self.sums), strict=True)
        smoothed, nll, norm, skipped = (float(torch.stack(column).sum()) for column in columns)
        seconds = self.seconds + time.monotonic() - began
        return {
            "loss": smoothed / tokens,
            "nll": nll / tokens,
            "gradient_norm": norm / self.steps,
            "skipped": int(skipped),
            "tokens_per_second": round(tokens / seconds, 1),
        }


def describe(result: Validation) -> dict[str, Any]:
    """A validation as values for JSON, every score with its signature."""
    return {
        "loss": result.loss,
        "nll": result.nll,
        "scores": [{"name": s.name, "value": s.value, "signature": s.signature} for s in result.scores],
        "samples": [dict(zip(("source", "reference", "translation"), s, strict=True)) for s in result.samples],
    }


def report_validation(title: str, result: Validation) -> None:
    """Print a validation for a person."""
    scores = ", ".join(f"{s.name} {s.value:.2f}" for s in result.scores)
    say(f"{title}: validation loss {result.loss:.3f}, {scores}  ({result.scores[0].signature})")
    for source, reference, translation in result.samples:
        say(f"    source       {source}\n    reference    {reference}\n    translation  {translation}")
