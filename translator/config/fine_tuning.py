"""Fine-tuning: which run a new one starts from, and which settings it takes from there."""

from pathlib import Path
from typing import Any, NamedTuple

from translator.config.paths import RUN_CONFIG
from translator.config.presets import PRESETS
from translator.config.schema import Config
from translator.config.sections import TrainingSettings
from translator.config.typed_values import NULLS

_SHARE_OF_RATE = 0.1
"""Of the preset's learning rate: a trained model forgets what it knows at the rate that a new one needs."""


class Start(NamedTuple):
    """What `start_from` names."""

    run: Path
    """The run directory."""
    weights: str | None
    """The name of its weights; None for those that commands use by default."""


def parse_start(start_from: str) -> Start:
    """Read `RUN` or `RUN:NAME`; if a directory of that whole name exists, colon included, it is the run."""
    run, colon, name = start_from.rpartition(":")
    if not colon or not run or not name or Path(start_from).is_dir():
        return Start(Path(start_from), None)
    return Start(Path(run), name)


def start_mistakes(start_from: Any) -> list[str]:
    """Find out whether `start_from`, as it was written, names a run; whatever is no text is reported elsewhere."""
    if not isinstance(start_from, str) or start_from in NULLS:
        return []
    run = parse_start(start_from).run
    if (run / RUN_CONFIG).is_file():
        return []
    return [
        f"start_from: {run} is not a run directory (it has no {RUN_CONFIG}); expected RUN or RUN:NAME with the "
        "directory that `translator train` printed"
    ]


def adopt_settings(config: Config, base: Config, problems: list[str]) -> Config:
    """Return `config` with the tokenizer, preset and model settings of `base`, the run that it starts from.

    Its learning rate is a tenth of the preset's unless it is stated. Only dropout (every model setting with that word)
    may differ, and `tokenizer.extend`, which is about the new run; any other difference is added to `problems`.
    """
    stated = config.model_dump(exclude_unset=True)
    if stated.get("preset", "auto") not in ("auto", base.preset):
        problems.append(_conflict(config, "preset", stated["preset"], base.preset))
    for section in ("tokenizer", "model"):
        for name, value in stated.get(section, {}).items():
            expected = getattr(getattr(base, section), name)
            if value != expected and "dropout" not in name and name != "extend":
                problems.append(_conflict(config, f"{section}.{name}", value, expected))
    dropouts = {name: value for name, value in stated.get("model", {}).items() if "dropout" in name}
    usual = PRESETS.get(base.preset, {}).get("training", {}).get("learning_rate", TrainingSettings().learning_rate)
    adopted = {
        **stated,
        "training": {"learning_rate": _SHARE_OF_RATE * usual, **stated.get("training", {})},
        "preset": base.preset,
        "tokenizer": {**base.tokenizer.model_dump(), "extend": config.tokenizer.extend},
        "model": {**base.model.model_dump(), **dropouts},
    }
    return Config.model_validate(adopted)


def _conflict(config: Config, name: str, found: Any, expected: Any) -> str:
    assert config.start_from is not None
    run = parse_start(config.start_from).run
    return f"{name}: found {found!r}, but {run}, where this run starts from, has {expected!r}; leave it out"
