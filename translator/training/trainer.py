"""The training loop: updates, log points, validations, checkpoints, going back, and when to stop."""

import signal
import time
from collections.abc import Iterator
from typing import Any

from translator.checkpoints import (
    Checkpoint,
    RunDirectory,
    explained_disk_errors,
    read_checkpoint,
    read_newest,
    write_checkpoint,
)
from translator.config import Config
from translator.data import PreparedData
from translator.distributed.world import World
from translator.errors import TrainingError
from translator.runtime.console import progress as progress_bar
from translator.runtime.console import say, warn
from translator.runtime.device import Machine
from translator.runtime.memory import give_back_freed_memory, peak_bytes
from translator.runtime.seeding import seed_step
from translator.training.batch_loader import Batches, Drawn
from translator.training.health import describe_problems
from translator.training.metrics_log import MetricsLog
from translator.training.optimizer import set_learning_rate
from translator.training.progress import Progress
from translator.training.schedule import learning_rate
from translator.training.signals import Interruption
from translator.training.state import Beginning
from translator.training.step_stats import SkippedSteps, Window
from translator.training.update import UpdateSums
from translator.training.validation import Validator, describe, report_validation

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Trainer:
    """Trains the model of a run from its newest checkpoint, or from the beginning, to its end."""

    def __init__(
        self, config: Config, data: PreparedData, run: RunDirectory, machine: Machine, world: World, begun: Beginning,
        batches: Batches,
    ) -> None:  # fmt: skip
        self.config, self.run, self.machine, self.world, self.batches = config, run, machine, world, batches
        self.begun, self.update, self.average, self.state = begun, begun.update, begun.state.average, begun.state
        self.validate = Validator(config, data.valid, data.tokenizers, machine, world)
        tensorboard = run.tensorboard if config.training.tensorboard and world.is_main else None
        self.metrics = MetricsLog(run.metrics, tensorboard)
        self.saved_step = 0
        self.use(Progress())

    def use(self, progress: Progress) -> None:
        """Make `progress` the position that training goes on from."""
        self.progress = progress
        self.skipped = SkippedSteps(progress)

    def resume(self) -> None:
        """Continue from the newest checkpoint that is whole, where there is one."""
        step, checkpoint = self._read_newest()
        if self.world.is_main:
            # What an earlier start wrote behind its last checkpoint is void.
            self.metrics.continue_after(step)
        if checkpoint is None:
            return
        self.use(self.state.restore(checkpoint, str(self.run.checkpoint(step))))
        say(f"resuming after step {step:,} from {self.run.checkpoint(step)}")

    def _read_newest(self) -> tuple[int, Checkpoint | None]:
        """The newest checkpoint that is whole and its step, or 0 and None; one process looks, for all."""
        found = read_newest(self.run) if self.world.is_main else None
        step = self.world.gather(found[0] if found is not None else 0)[0]
        if found is not None or not step:
            return step, found[1] if found is not None else None
        return step, read_checkpoint(self.run.checkpoint(step))

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

        Raises `SystemExit` with 130 or 143 after saving for SIGINT or SIGTERM, and `TrainingError` where the gradient
        stays without numbers.
        """
        settings = self.config.training
        batches = self.batches.after(self.progress)
        window = Window(self.world)
        bar = progress_bar(description="training", total=settings.max_steps, unit=" steps", initial=self.progress.step)
        with bar, Interruption() as interruption:
            while not self.has_ended():
                progress = self.progress
                epochs_before, began = progress.epoch, time.monotonic()
                sums = self._step(batches)
                window.add(sums, time.monotonic() - began)
                bar.update()
                logs = progress.step % settings.log_every == 0
                due = progress.is_due(settings.validate_every, epochs_before) or self.has_ended()
                # On a GPU, looking at the flags waits for it: only where something else does so too.
                if logs or due or self.machine.device.type == "cpu":
                    self._look_at_skipped()
                if logs:
                    bar.set_postfix_str(self._log(window))
                    window = Window(self.world)
                progress.seconds += time.monotonic() - began
                if progress.skipped_in_a_row >= settings.max_skipped:
                    self._roll_back()
                    batches, window = self.batches.after(self.progress), Window(self.world)
                    bar.reset()
                    bar.update(self.progress.step)
                    continue
                if due:
                    self.validate_and_save()
                # One process may have had the signal alone, or a step before the others.
                asked = self.world.sum([interruption.signal == kind for kind in _SIGNALS])
                if any(asked):
                    self._stop(_SIGNALS[asked.index(max(asked))])

    def _stop(self, reason: signal.Signals) -> None:
        if self.saved_step != self.progress.step:
            self._look_at_skipped()
            self.save()
        say(f"stopped by {reason.name} after step {self.progress.step:,}; the same command continues from here")
        raise SystemExit(128 + reason)

    def _step(self, batches: Iterator[Drawn]) -> UpdateSums:
        settings, progress, world = self.config.training, self.progress, self.world
        seed_step(self.config.seed, progress.step, world.rank)
        self.update.model.train()
        drawn = [next(batches) for _ in range(settings.accumulate * world.size)]
        group = [self.batches.make(one) for one in drawn[world.rank :: world.size]]
        set_learning_rate(self.update.optimizer, self._learning_rate(progress.step + 1))
        sums = self.update(group)
        progress.step += 1
        progress.target_tokens += sums.all_tokens
        if self.average is not None:
            self.average.update(progress.step)
        self.skipped.add(progress.step, sums.skipped, [one.indices for one in drawn])
        return sums

    def _learning_rate(self, step: int) -> float:
        return self.progress.rate_scale * learning_rate(self.config.training, step, self.config.model.d_model)

    def _look_at_skipped(self) -> None:
        for entry in self.skipped.count():
            self.write("skipped", **entry)
            warn(
                f"step {entry['step']:,} had a gradient that is not finite and was skipped; its "
                f"{entry['number_of_pairs']:,} training pairs are named in {self.run.metrics}"
            )

    def _roll_back(self) -> None:
        """Go back to the last good checkpoint, with half the learning rate, and on to other batches than before."""
        settings, now = self.config.training, self.progress
        if now.rollbacks >= settings.max_rollbacks:
            raise TrainingError(
                f"{now.skipped_in_a_row} steps in a row up to step {now.step:,} had a gradient that is not finite, and "
                f"going back with a lower learning rate did not help {now.rollbacks} times (now {now.rate_scale:g} of "
                "the one in the settings). The last checkpoint is intact. Lower training.learning_rate, raise "
                "training.warmup_steps, set training.clip_norm=1 or precision=fp32; the training pairs of these "
                f"steps are named in {self.run.metrics}"
            )
        step, checkpoint = self._read_newest()
        if checkpoint is None:
            where = "the beginning"
            self.begun.restart()
            self.use(Progress())
        else:
            where = str(self.run.checkpoint(step))
            self.use(self.state.restore(checkpoint, where))
        progress = self.progress
        progress.epoch, progress.position, progress.epoch_batches = now.epoch, now.position, now.epoch_batches
        progress.seconds, progress.skipped = now.seconds, now.skipped
        progress.rate_scale, progress.rollbacks = now.rate_scale / 2.0, now.rollbacks + 1
        warn(
            f"{now.skipped_in_a_row} steps in a row had a gradient that is not finite: going back to {where}, with "
            f"half the learning rate ({progress.rate_scale:g} of the one in the settings) and the batches that follow"
        )
        if self.world.is_main:
            self.metrics.continue_after(step)
        self.write("rollback", step=step, from_step=now.step, rate_scale=progress.rate_scale)
        if step:
            # A run that is killed from here on shall not go back a second time for the same reason.
            self.save()

    def _log(self, window: Window) -> str:
        """Write a line of metrics; training waits for the device here."""
        figures, progress = window.figures(), self.progress
        rate = self._learning_rate(progress.step)
        scaler = self.update.scaler
        self.write(
            "train",
            step=progress.step,
            epoch=progress.epoch,
            target_tokens=progress.target_tokens,
            learning_rate=rate,
            **figures,
            **({"scale": scaler.get_scale()} if scaler.is_enabled() else {}),
            memory_gib=round(peak_bytes(self.machine.device) / 2**30, 3),
        )
        return f"loss {figures['loss']:.3f}, {figures['tokens_per_second']:,.0f} tokens/s, lr {rate:.2e}"

    def validate_and_save(self) -> None:
        """Validate the present weights, or their moving average, report, and write a checkpoint of them."""
        began, progress = time.monotonic(), self.progress
        with self.update.parallel.evaluated(self.average.values if self.average is not None else None) as model:
            result = self.validate(model)
        progress.history.append({"step": progress.step, "loss": result.loss, "bleu": result.bleu})
        progress.seconds += time.monotonic() - began
        report_validation(f"step {progress.step:,}, epoch {progress.epoch}", result)
        self.write("valid", step=progress.step, epoch=progress.epoch, **describe(result))
        warmup = self.config.training.warmup_steps
        for problem in describe_problems(
            progress.history, result.sources, result.references, result.translations, warmup_steps=warmup
        ):
            warn(problem)
        self.save()

    def save(self) -> None:
        """Write a checkpoint of this step and remove those that are neither among the newest nor the best."""
        settings, progress = self.config.training, self.progress
        checkpoint = self.state.capture(progress)
        if self.world.is_main:
            write_checkpoint(self.run.checkpoint(progress.step), checkpoint)
            steps = self.run.steps()
            best = [step for step in progress.best_steps(settings.best_metric) if step in steps]
            kept = {*steps[-settings.keep_last :], *best[: settings.keep_best]}
            with explained_disk_errors(self.run):
                for step in steps:
                    if step not in kept:
                        self.run.remove_checkpoint(step)
        self.saved_step = progress.step
        if self.machine.device.type == "cpu":
            give_back_freed_memory()
        self.world.barrier()

    def write(self, kind: str, **values: Any) -> None:
        """Write a line of metrics, on the main process."""
        if self.world.is_main:
            with explained_disk_errors(self.run, self.run.metrics):
                self.metrics.write(kind, **values)
