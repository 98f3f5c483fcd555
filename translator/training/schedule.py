"""Learning rates as pure functions of the step."""

import math

from translator.config import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int, d_model: int) -> float:
    """The learning rate of optimizer step `step`, counted from 1.

    All schedules rise linearly to the peak over `warmup_steps`. Then `inverse_sqrt` falls with 1 / sqrt(step)
    (Vaswani et al. 2017, section 5.3, scaled to the peak), `noam` does so from the paper's own peak,
    1 / sqrt(d_model * warmup_steps), `cosine` and `linear` reach zero at `max_steps`, and `constant` and
    `warmup_stable_decay` stay. The last `decay_steps` scale any of them down linearly, so that any
    run can be brought to a rate of zero; `warmup_stable_decay` has some by default.
    """
    decay = settings.decay_steps
    if settings.schedule == "warmup_stable_decay" and not decay:
        decay = settings.max_steps // 5
    left = (settings.max_steps - step + 1) / (decay + 1)
    return _scheduled(settings, step, d_model) * max(0.0, min(1.0, left))


def _scheduled(settings: TrainingSettings, step: int, d_model: int) -> float:
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "noam":
        peak = 1.0 / math.sqrt(d_model * max(1, warmup))
    if step <= warmup:
        return peak * step / warmup
    progress = min(1.0, (step - warmup) / max(1, settings.max_steps - warmup))
    match settings.schedule:
        case "inverse_sqrt" | "noam":
            return peak * math.sqrt(max(1, warmup) / step)
        case "cosine":
            return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
        case "linear":
            return peak * (1.0 - progress)
        case _:
            return peak
