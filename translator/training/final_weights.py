"""Which weights a run ends with: the best checkpoint by validation, or an average of the newest or the best ones."""

from collections.abc import Callable, Sequence

from translator.checkpoints import (
    Checkpoint,
    RunDirectory,
    average_checkpoints,
    best_first,
    load_bundle,
    read_checkpoint,
    write_checkpoint,
)
from translator.checkpoints.run_directory import FINAL
from translator.config import TrainingSettings, guided_head
from translator.translation.alignment_head import keep_alignment_head, learn_alignment_head


def choose_final_weights(
    run: RunDirectory, best: Sequence[int], settings: TrainingSettings,
    validate: Callable[[Checkpoint, str | None], Checkpoint],
) -> Checkpoint:  # fmt: skip
    """Choose among the best checkpoint and the averages that `settings` ask for what validates best.

    `best` are the steps of the checkpoints that exist and were validated, best first; others, which an interruption
    left, do not count. `validate` returns weights with their figures as state, and reports them if it is given a
    title. The state's `from` names the checkpoints that were chosen.
    """
    chosen = validate(read_checkpoint(run.checkpoint(best[0]), with_optimizer=False), None)
    chosen.state["from"] = [run.checkpoint(best[0]).name]
    groups = {"last": sorted(best)[-settings.average_last :], "best": sorted(best[: settings.average_best])}
    for name, group in groups.items():
        if len(group) > 1:
            average = average_checkpoints([run.checkpoint(step) for step in group])
            averaged = validate(average, f"average of the {name} {len(group)} checkpoints")
            averaged.state["from"] = average.state["average_of"]
            # Of equals the average, which generalises better.
            if best_first([averaged.state, chosen.state], settings.best_metric)[0] is averaged.state:
                chosen = averaged
    return chosen


def write_final_model(
    run: RunDirectory, final: Checkpoint, aligned_pairs: tuple[Sequence[list[int]], Sequence[list[int]]]
) -> None:
    """Write the final model, and choose by pairs of piece ids which head alignments come from, unless it was guided."""
    write_checkpoint(run.models / FINAL, final)
    # On the CPU: the devices may be full, or hold only a shard of the model.
    bundle = load_bundle(run.root, device="cpu")
    if guided_head(bundle.config.training, bundle.config.model) is not None:
        return
    keep_alignment_head(bundle, learn_alignment_head(bundle, *aligned_pairs))
