"""What is wrong with a training, judged at each validation and reported in plain words with a remedy."""

import math
from collections.abc import Mapping, Sequence

from translator.evaluation import faults

# A loss this many times the best one, and half a nat above it, is not a fluctuation.
_EXPLODED, _EXPLODED_NATS = 1.5, 0.5
# Overfitting lets the loss rise slowly; a rise by a quarter between two validations is something else.
_JUMP = 1.25
# Before this many steps, or while the loss still falls by 2 % between validations, a model has not learned enough.
_EARLY_STEPS = 1000
_FALLING = 0.98

_UNLEARNED = (
    "the model has not learned to look at the source: lower training.learning_rate, raise training.warmup_steps or set "
    "model.norm=pre, and check that the corpus's lines are translations of each other (`translator data report`)"
)
_REMEDIES = {
    "copies": (
        "look for lines of the training corpus whose target is not translated, and check that data.train does not "
        "name the same language twice"
    ),
    "empty": "check the training corpus for targets that are missing or far too short for their source",
    "loops": _UNLEARNED,
    "overlong": (
        "the model has not learned where a translation ends: check the training corpus for targets that hold more "
        "than their source, and lower data.max_length_ratio"
    ),
    "alike": _UNLEARNED,
}


def describe_problems(
    history: Sequence[Mapping[str, float]],
    sources: Sequence[str],
    references: Sequence[str],
    hypotheses: Sequence[str],
    *,
    warmup_steps: int,
) -> list[str]:
    """Say what is wrong after the last validation of `history` (`step` and `loss` of each, the newest last).

    `hypotheses` are that validation's translations of `sources`, with their `references`. Output that any untrained
    model gives (repetitions, the same sentence for all) is held against the model only after twice the
    warm-up and 1,000 steps, and once the loss has stopped falling quickly. A healthy run has no problems.
    """
    problems = _loss_problems(history)
    early = _is_early(history, warmup_steps)
    for name, sentence in faults(sources, references, hypotheses).items():
        # An untrained model copies nothing, so copies come from the data.
        if name == "copies" or not early:
            problems.append(f"{sentence}; {_REMEDIES[name]}")
    return problems


def _loss_problems(history: Sequence[Mapping[str, float]]) -> list[str]:
    step, loss = history[-1]["step"], history[-1]["loss"]
    if not math.isfinite(loss):
        return [
            f"the validation loss is {loss} after step {step:,.0f}: the weights are useless; start again from a "
            "checkpoint with a lower training.learning_rate, or with precision=fp32"
        ]
    best = min(history, key=lambda entry: entry["loss"] if math.isfinite(entry["loss"]) else math.inf)
    if loss < _EXPLODED * best["loss"] or loss < best["loss"] + _EXPLODED_NATS:
        return []
    since = [entry["loss"] for entry in history if entry["step"] >= best["step"]]
    jumped = any(later > _JUMP * earlier for earlier, later in zip(since, since[1:], strict=False))
    rise = f"the validation loss has risen from {best['loss']:.2f} (step {best['step']:,.0f}) to {loss:.2f}"
    if jumped:
        return [
            f"{rise}: training has diverged; stop it and train again with a lower training.learning_rate, a longer "
            "training.warmup_steps or training.clip_norm=1"
        ]
    return [
        f"{rise}, little by little: the model is memorising the training data; stop here (training.patience does), "
        "and train again with more model.dropout, a smaller preset or more data"
    ]


def _is_early(history: Sequence[Mapping[str, float]], warmup_steps: int) -> bool:
    last = history[-1]
    if last["step"] < max(2 * warmup_steps, _EARLY_STEPS) or len(history) < 2:
        return True
    return last["loss"] < _FALLING * history[-2]["loss"]
