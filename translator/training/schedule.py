"""Learning rates as pure functions of the step."""

import math

from translator.config import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """The learning rate of optimizer step `step`, counted from 1.

    All schedules rise linearly to the peak over `warmup_steps`. Then `inverse_sqrt` falls with 1 / sqrt(step)
    (Vaswani et al. 2017, section 5.3, scaled to the peak), `cosine` and `linear` reach zero at `max_steps`, and
    `constant` stays. The last `decay_steps` scale any of them down linearly, so that a run can be brought to rest
    from wherever it is.
    """
    left = (settings.max_steps - step + 1) / (settings.decay_steps + 1)
    return _scheduled(settings, step) * max(0.0, min(1.0, left))


def _scheduled(settings: TrainingSettings, step: int) -> float:
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if step <= warmup:
        return peak * step / warmup
    progress = min(1.0, (step - warmup) / max(1, settings.max_steps - warmup))
    match settings.schedule:
        case "inverse_sqrt":
            return peak * math.sqrt(max(1, warmup) / step)
        case "cosine":
            return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
        case "linear":
            return peak * (1.0 - progress)
        case "constant":
            return peak
