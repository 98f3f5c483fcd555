"""The training of a run: the loop over updates, log points and validations, going back, and how a run ends."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from translator.checkpoints import (
    Checkpoint,
    Identity,
    RunDirectory,
    explained_disk_errors,
    read_final,
    warn_of_missing,
)
from translator.config import TrainingSettings
from translator.data.batches import Batch
from translator.errors import TrainingError
from translator.model import Transformer
from translator.runtime.console import progress as progress_bar
from translator.runtime.console import say, warn
from translator.runtime.counted import counted
from translator.runtime.device_memory import peak_bytes
from translator.runtime.host_memory import give_back_freed_memory
from translator.runtime.seeding import seed_step
from translator.training.batch_loader import BatchLoader
from translator.training.checkpointing import Checkpointing
from translator.training.final_weights import choose_final_weights, write_final_model
from translator.training.health import describe_problems
from translator.training.metrics_log import MetricsLog
from translator.training.optimizer import set_learning_rate
from translator.training.prefetch import Prefetch
from translator.training.progress import SPACING, Progress
from translator.training.schedule import learning_rate
from translator.training.signals import REQUESTS, Interruption
from translator.training.step_batches import StepBatches, batches_of_steps
from translator.training.step_stats import StepStats
from translator.training.update import Updater, UpdateSums
from translator.training.validation import Validator

_ALIGNED_PAIRS = 300


class Trainer:
    """Trains the model of a run from its newest checkpoint, or from the beginning, to its final weights."""

    def __init__(
        self, run: RunDirectory, settings: TrainingSettings, update: Updater, batches: BatchLoader,
        validate: Validator, make_model: Callable[[], Transformer], *, seed: int, d_model: int, identity: Identity,
        began_with: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """`make_model` makes the initial model, on the CPU; `d_model` is its width, which the noam schedule uses.

        `identity` and `began_with` are written into what is saved.
        """
        self.run, self.settings, self.seed, self.d_model = run, settings, seed, d_model
        self.update, self.batches, self.validate, self.make_model = update, batches, validate, make_model
        self.state, self.machine, self.world = update.state, update.machine, update.world
        self.identity = identity
        self.checkpoints = Checkpointing(run, self.state, settings, self.world, identity, began_with)
        tensorboard = run.tensorboard if settings.tensorboard and self.world.is_main else None
        self.metrics = MetricsLog(run.metrics, tensorboard)
        self._steps: Prefetch[StepBatches] = Prefetch(iter(()))
        self._continue_from(Progress())

    def train(self) -> Checkpoint:
        """Train what is left of the run, and return its final weights, which are stored as the model `final`.

        Raises `SystemExit` with 130, 143 or 129 after saving for SIGINT, SIGTERM or SIGHUP, and `TrainingError` if
        the gradient stays not finite.
        """
        self._resume()
        self.world.main_first(lambda: read_final(self.run))
        try:
            self._loop()
        finally:
            self._steps.close()
        return self._finish()

    def _loop(self) -> None:
        """Update until the run ends or is interrupted; a checkpoint of the last step exists afterwards."""
        settings = self.settings
        bar = progress_bar(description="training", total=settings.max_steps, unit="steps", initial=self.progress.step)
        with bar, Interruption() as interruption:
            while not self.progress.has_ended(settings):
                epoch, began = self.progress.epoch, time.monotonic()
                batches, indices = self._begin_step()
                sums = self.update(batches)
                self._count_step(sums)
                progress = self.progress
                self._say_spacing(epoch)
                self.stats.add(progress.step, sums, indices, time.monotonic() - began)
                bar.update()
                logs = progress.step % settings.log_every == 0
                due = progress.is_due(settings.validate_every, epoch) or self.progress.has_ended(settings)
                # On a GPU, looking at the flags waits for it: only if something else does so too.
                if logs or due or self.machine.device.type == "cpu":
                    self._report_skipped()
                if logs:
                    bar.set_postfix_str(self._log())
                progress.seconds += time.monotonic() - began
                if progress.skipped_in_a_row >= settings.max_skipped:
                    self._roll_back()
                    bar.reset()
                    bar.update(self.progress.step)
                    continue
                if due:
                    self._validate_and_save()
                self._stop_if_asked(interruption)

    def _say_spacing(self, epochs_before: int) -> None:
        """Say once, after the first epoch, if epochs are so short that not every one is validated."""
        steps = self.progress.step
        if self.settings.validate_every == "auto" and epochs_before == 0 < self.progress.epoch and steps < SPACING:
            say(
                f"an epoch has {counted(steps, 'step')}: validating at the first end of an epoch that "
                f"is at least {SPACING} steps after the last validation (training.validate_every=1epoch: after each)"
            )

    def _begin_step(self) -> tuple[list[Batch], list[np.ndarray]]:
        """Prepare the next update; return the batches of this rank, and the indices of the pairs of all ranks."""
        progress = self.progress
        seed_step(self.seed, progress.step, self.world.rank)
        self.state.model.train()
        made = next(self._steps)
        progress.data_position = made.end
        set_learning_rate(self.state.optimizer, self._learning_rate(progress.step + 1))
        return made.batches, made.indices

    def _count_step(self, sums: UpdateSums) -> None:
        self.progress.step += 1
        self.progress.target_tokens += sums.all_tokens
        if self.state.average is not None:
            self.state.average.update(self.progress.step)

    def _learning_rate(self, step: int) -> float:
        return self.progress.rate_scale * learning_rate(self.settings, step, self.d_model)

    def _stop_if_asked(self, interruption: Interruption) -> None:
        """Save and exit if any process has had SIGINT or SIGTERM: it may have been one alone, or a step earlier."""
        asked = self.world.sum([interruption.signal == kind for kind in REQUESTS])
        if not any(asked):
            return
        if self.checkpoints.saved_step != self.progress.step:
            self._report_skipped()
            self._save()
        reason = REQUESTS[asked.index(max(asked))]
        say(f"stopped by {reason.name} after step {self.progress.step:,}; the same command continues from here")
        raise SystemExit(128 + reason)

    def _continue_from(self, progress: Progress) -> None:
        """Make `progress` the position that training continues from."""
        self.progress = progress
        self.stats = StepStats(self.world)
        self._steps.close()
        position, step, accumulate = progress.data_position, progress.step, self.settings.accumulate
        steps = batches_of_steps(self.batches, position, step, accumulate, self.world, self.machine.device)
        self._steps = Prefetch(steps)

    def _resume(self) -> None:
        """Continue from the newest intact checkpoint, if there is one."""
        if self.world.is_main:
            warn_of_missing(self.run)
        step, checkpoint = self.checkpoints.newest()
        if self.world.is_main:
            # What an earlier process logged after its last checkpoint is void.
            self.metrics.continue_after(step)
        if checkpoint is not None:
            self._continue_from(self.state.restore(checkpoint, str(self.run.checkpoint(step))))
            say(f"resuming after step {step:,} from {self.run.checkpoint(step)}")

    def _roll_back(self) -> None:
        """Go back to the last good checkpoint, and continue with half the learning rate and other batches."""
        now = self.progress
        step, checkpoint = self.checkpoints.return_to_good()
        if now.rollbacks >= self.settings.max_rollbacks:
            begin = f" that begins with {self.run.checkpoint(step)} (start_from={self.run.root}:{step})" if step else ""
            raise TrainingError(
                f"{counted(now.skipped_in_a_row, 'step')} in a row up to step {now.step:,} had a gradient that is not "
                f"finite, and going back with a lower learning rate did not help {counted(now.rollbacks, 'time')} (now "
                f"{now.rate_scale:g} of the one in the settings). Train another run (run=DIRECTORY){begin} with a "
                "lower training.learning_rate, a longer training.warmup_steps, training.clip_norm=1 or precision=fp32; "
                f"the training pairs of these steps are named in {self.run.metrics}"
            )
        if checkpoint is None:
            where, progress = "the beginning", Progress()
            self.state.restart(self.make_model())
        else:
            where = str(self.run.checkpoint(step))
            progress = self.state.restore(checkpoint, where)
        progress.data_position = now.data_position
        progress.seconds, progress.skipped = now.seconds, now.skipped
        progress.rate_scale, progress.rollbacks = now.rate_scale / 2.0, now.rollbacks + 1
        self._continue_from(progress)
        warn(
            f"{counted(now.skipped_in_a_row, 'step')} in a row had a gradient that is not finite: going back to "
            f"{where}, with half the learning rate ({progress.rate_scale:g} of the one in the settings) and the "
            "batches that follow"
        )
        if self.world.is_main:
            self.metrics.continue_after(step)
        self._write("rollback", step=step, from_step=now.step, rate_scale=progress.rate_scale)
        if step:
            # A run that is killed from here on must not go back a second time for the same reason.
            self._save()

    def _report_skipped(self) -> None:
        for entry in self.stats.count_skipped(self.progress):
            self._write("skipped", **entry)
            warn(
                f"step {entry['step']:,} had a gradient that is not finite and was skipped; its "
                f"{counted(entry['number_of_pairs'], 'training pair is', 'training pairs are')} named in "
                f"{self.run.metrics}"
            )

    def _log(self) -> str:
        """Write a line of metrics and return the same for people; training waits for the device here."""
        figures, progress, scaler = self.stats.take_figures(), self.progress, self.state.scaler
        rate = self._learning_rate(progress.step)
        self._write(
            "train",
            step=progress.step,
            epoch=progress.epoch,
            target_tokens=progress.target_tokens,
            learning_rate=rate,
            **figures,
            **({"scale": scaler.get_scale()} if scaler.is_enabled() else {}),
            memory_gib=round(peak_bytes(self.machine.device) / 2**30, 3),
        )
        alignment = f", alignment {figures['alignment']:.3f}" if "alignment" in figures else ""
        return f"loss {figures['loss']:.3f}{alignment}, {figures['tokens_per_second']:,.0f} tokens/s, lr {rate:.2e}"

    def _write(self, kind: str, **values: Any) -> None:
        """Write a line of metrics, on the main process."""
        if self.world.is_main:
            with explained_disk_errors(self.run, self.run.metrics):
                self.metrics.write(kind, **values)

    def _save(self) -> None:
        self.checkpoints.save(self.progress)
        if self.machine.device.type == "cpu":
            give_back_freed_memory()

    def _validate_and_save(self) -> None:
        """Validate the current weights, or their moving average, report, and write a checkpoint of them."""
        began, progress = time.monotonic(), self.progress
        average = self.state.average
        with self.state.parallel.evaluated(average.values if average is not None else None) as model:
            result = self.validate(model)
        progress.history.append({"step": progress.step, **result.figures()})
        progress.seconds += time.monotonic() - began
        result.report(f"step {progress.step:,}, epoch {progress.epoch}")
        self._write("valid", step=progress.step, epoch=progress.epoch, **result.as_values())
        for problem in describe_problems(
            progress.history, result.sources, result.references, result.translations,
            warmup_steps=self.settings.warmup_steps,
        ):  # fmt: skip
            warn(problem)
        self._save()

    def _finish(self) -> Checkpoint:
        """Choose the final weights by validation, and write the final model."""
        metric, progress = self.settings.best_metric, self.progress
        steps = self.checkpoints.intact_steps()
        if not any(step in steps for step in progress.best_steps(metric)):
            # Interrupted before its first validation, and then declared ended.
            self._validate_and_save()
            steps = self.checkpoints.steps()
        best = [step for step in progress.best_steps(metric) if step in steps]
        final = choose_final_weights(self.run, best, self.settings, self._validated)
        final.state["ended_at"] = progress.step
        if self.world.is_main:
            write_final_model(self.run, final, self.validate.some_pairs(_ALIGNED_PAIRS))
        self.world.barrier()
        say(
            f"finished after {counted(progress.step, 'step')}, {counted(progress.target_tokens, 'target token')} and "
            f"{progress.seconds / 60.0:.1f} minutes; final weights from {', '.join(final.state['from'])}: "
            f"validation loss {final.state['loss']:.3f}, BLEU {final.state['bleu']:.2f}  "
            f"({final.state['signature']}); run {self.run.root}"
        )
        return final

    def _validated(self, checkpoint: Checkpoint, title: str | None) -> Checkpoint:
        """Validate weights, report them if there is a title, and return them with the figures, as a final model."""
        weights = {name: weight.to(self.machine.device) for name, weight in checkpoint.weights.items()}
        parallel = self.state.parallel
        with torch.no_grad(), parallel.evaluated(parallel.shard(weights)) as model:
            result = self.validate(model)
        if title is not None:
            result.report(title)
            self._write("valid_average", checkpoints=checkpoint.state["average_of"], **result.as_values())
        state = {"step": checkpoint.state["step"], "signature": result.scores[0].signature}
        return Checkpoint(checkpoint.weights, {}, state | result.figures() | self.identity.as_state())
