"""Whether a training may continue a run: the settings that it began with, and that no other process trains in it.

Nothing is written here. `train` checks twice: before any work, and again when the corpora have been read.
"""

import contextlib
from typing import Any

from translator.checkpoints import RunDirectory
from translator.config import Config, read_run_config, resolve_preset
from translator.config.run_config import changed_settings
from translator.errors import CheckpointError, ConfigError
from translator.runtime.files import locked
from translator.runtime.lock_holder import describe_holder

# Settings that may differ when a run continues: none of them changes the meaning of the steps already done.
_CHANGEABLE = (
    "run", "device", "devices", "precision", "threads", "compile", "decoding.", "data.test", "data.prepared",
    "training.max_", "training.decay_steps", "training.validat", "training.patience", "training.best_metric",
    "training.keep_", "training.average_", "training.log_every", "training.tensorboard", "training.batch_tokens",
    "training.accumulate", "training.sharded", "training.activations", "training.attention_kernel",
)  # fmt: skip

# Settings that name what a run is bound to by its content (`BegunRun.check`), wherever it is.
_PLACES = ("data.train", "data.valid", "data.alignments", "tokenizer.model", "start_from")
_PLACES_OF_CORPUS = ("path", "scores", "alignments")


def foresee(config: Config, run: RunDirectory) -> Config:
    """Complete settings as reading the corpora would, if these are the ones that the run began with."""
    begun = _begun(run)
    if begun is None:
        return config
    data = config.data
    if data.source_language is None and not data.language_tags:
        named = {name: getattr(begun.data, name) for name in ("source_language", "target_language")}
        config = config.model_copy(update={"data": data.model_copy(update=named)})
    return config


def keep_preset(config: Config, run: RunDirectory) -> Config:
    """Return the settings with the preset that was chosen when a run was begun, unless they state one.

    The choice depends on the device, which may be another one when the run continues.
    """
    if config.preset != "auto" or (begun := _begun(run)) is None:
        return config
    # Settings of a run name a preset, unless somebody has edited them.
    return config if begun.preset == "auto" else resolve_preset(config, begun.preset)


def keep_normalization(config: Config, run: RunDirectory) -> Config:
    """Return the settings with the rule that a begun run was made with, unless they state one.

    The rule is in the run's tokenizer. Its default was another one before this version, and must not stop such a run.
    """
    begun = _begun(run)
    if begun is None or "normalization" in config.tokenizer.model_fields_set:
        return config
    rule = {"normalization": begun.tokenizer.normalization}
    return config.model_copy(update={"tokenizer": config.tokenizer.model_copy(update=rule)})


def check_agreement(config: Config, run: RunDirectory) -> Config:
    """Return the settings, with the batch size and the order of batches that were chosen when the run began.

    Raises `ConfigError` with all settings that differ from those that the run began with and may not.
    """
    begun = _begun(run)
    if begun is None:
        return config
    if config.training.batch_tokens == "auto" and begun.training.batch_tokens != "auto":
        config = with_batch_tokens(config, int(begun.training.batch_tokens))
    if config.training.order == "auto":
        training = config.training.model_copy(update={"order": begun.training.order})
        config = config.model_copy(update={"training": training})
    problems = [
        f"{name}: {run.root} began with {old!r}, found {new!r}; keep it or choose another run directory"
        for name, (old, new) in changed_settings(begun, config).items()
        if not name.startswith(_CHANGEABLE) and not (name in _PLACES and _without_places(old) == _without_places(new))
    ]
    if problems:
        raise ConfigError(problems)
    return config


def _without_places(value: Any) -> Any:
    """Return what is left of a setting in `_PLACES` without the paths: entries of corpora, or whether there are any."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        return value is not None
    return [
        {name: own is not None if name in _PLACES_OF_CORPUS else own for name, own in entry.items()} for entry in value
    ]


def with_batch_tokens(config: Config, size: int) -> Config:
    """Return the settings with a batch size."""
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_tokens": size})})


def require_free(run: RunDirectory, held: contextlib.ExitStack | None = None) -> None:
    """Raise `CheckpointError` if another process is training in the run; keep others out until `held` is closed."""
    if not run.checkpoints.is_dir():
        return
    try:
        with contextlib.ExitStack() as lock:
            lock.enter_context(locked(run.checkpoints, wait=False))
            if held is not None:
                held.push(lock.pop_all())
    except BlockingIOError:
        raise CheckpointError(
            f"{describe_holder(run.checkpoints)} is training in {run.root}; wait for it or stop it, or choose another "
            "run directory with run=DIRECTORY"
        ) from None


def _begun(run: RunDirectory) -> Config | None:
    """The settings that the run began with; None if it has no weights yet."""
    return read_run_config(run.root) if run.config.is_file() and run.has_weights() else None
