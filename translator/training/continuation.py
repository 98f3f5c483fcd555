"""How a training continues a run that has weights: whether it has ended, and whether all is as it was begun with.

A run that has ended is left as it is unless a limit of its length is raised. Whatever differs from what a run was begun
with, by content and not by path, is refused before anything is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.checkpoints import (
    Base,
    Identity,
    RunDirectory,
    check_identity,
    read_state,
    verify_checkpoint,
    vocabulary_of,
)
from translator.checkpoints.identity import BEGAN, IDENTITY
from translator.checkpoints.run_directory import FINAL
from translator.config import (
    Config,
    TrainingSettings,
    complete_config,
    prepared_directory,
    read_run_config,
    run_directory,
)
from translator.data import Begun, PreparedData
from translator.data.manifest import corpora_inputs, fingerprints, has_vocabulary, read_manifest
from translator.errors import CheckpointError, DamagedCheckpointError, DataError, TranslatorError
from translator.runtime.console import say
from translator.text import TokenizerPair, load_given_tokenizers, load_tokenizers
from translator.training.agreement import check_agreement, foresee, keep_normalization, keep_preset
from translator.training.progress import Progress


@dataclass(frozen=True)
class BegunRun:
    """A run that has weights."""

    run: RunDirectory
    config: Config
    tokenizers: TokenizerPair
    checkpoint: Path | None
    """The newest checkpoint; None if there are only finished models."""
    state: Mapping[str, Any]
    """That of the newest checkpoint whose state is intact; empty if there is none."""

    @classmethod
    def find(cls, run: RunDirectory) -> "BegunRun | None":
        """Read what a run has; None if it has no weights yet. Raises `CheckpointError` if a part of it is missing."""
        if not run.has_weights():
            return None
        if not run.config.is_file():
            raise CheckpointError(
                f"{run.root} has weights but no {run.config.name}, so it cannot be continued; put that file back, or "
                "choose another run directory with run=DIRECTORY"
            )
        config, tokenizers = read_run_config(run.root), load_tokenizers(run.root)
        for step in reversed(run.steps()):
            path = run.checkpoint(step)
            try:
                return cls(run, config, tokenizers, path, read_state(path)[0])
            except DamagedCheckpointError:
                # It is named when the run is resumed.
                continue
        return cls(run, config, tokenizers, None, {})

    @property
    def identity(self) -> Identity:
        """That of its settings and tokenizers as they are now."""
        return Identity.of(self.config, self.tokenizers)

    def as_requirement(self) -> Begun:
        """What prepared data must agree with."""
        pairs = self.state.get(BEGAN, {}).get("pairs")
        return Begun(self.run.root, self.tokenizers, pairs)

    def ended(self, config: Config) -> Mapping[str, Any] | None:
        """Return the state of the final model if nothing is left to train under `config`; None if there is.

        Says so, and whether the corpora have changed since. Raises `CheckpointError` if more training is asked for and
        there are no checkpoints to continue from, or if the weights belong to another vocabulary.
        """
        final = self._final()
        raised = _is_longer(config.training, self.config.training)
        if self.checkpoint is None:
            if final is None and self.run.steps():
                # Resuming names what is damaged.
                return None
            if final is None or raised:
                raise CheckpointError(self._without_checkpoints(final))
            step, how = final["step"], f"to continue from it, begin another run with start_from={self.run.root}"
        else:
            progress = Progress.from_state(dict(self.state))
            had_ended = progress.has_ended(self.config.training) and not raised
            if final is None or not (had_ended or progress.has_ended(config.training)):
                return None
            if final.get("ended_at", progress.step) < progress.step:
                # Interrupted after an earlier end: the final weights are yet to be chosen among more checkpoints.
                return None
            limits = progress.limits_reached(config.training) or progress.limits_reached(self.config.training)
            step, how = progress.step, f"raise {' and '.join(limits)} to continue"
        self._check_vocabulary()
        say(f"{self.run.root} has already ended, after step {step:,}; {how}{self._changes(config)}")
        return final

    def check(self, config: Config) -> None:
        """Raise `CheckpointError` if the run was begun with something else than what `config` names, by content."""
        root = self.run.root
        self._check_vocabulary()
        began = self.state.get(BEGAN, {})
        if config.start_from is not None:
            self._check_base(Base.read(config.start_from), began.get("start_from"), config.start_from)
        elif (given := config.tokenizer.model) is not None:
            files = [given] if isinstance(given, str) else given
            if all(Path(file).exists() for file in files):
                found = vocabulary_of(load_given_tokenizers(given))
                if found != vocabulary_of(self.tokenizers):
                    raise CheckpointError(
                        f"tokenizer.model: {' and '.join(files)} is not the vocabulary that {root} was begun with; put "
                        "that back as it was, or begin another run with run=DIRECTORY"
                    )
        if changed := self._changed_corpora(config):
            raise CheckpointError(
                f"{root} was begun with other content of {', '.join(changed)}; put it back as it was, or train another "
                f"run on it that begins with these weights: run=DIRECTORY start_from={root}"
            )

    def _final(self) -> dict[str, Any] | None:
        path = self.run.models / FINAL
        if not path.is_dir():
            return None
        try:
            verify_checkpoint(path)
            return read_state(path)[0]
        except DamagedCheckpointError:
            return None

    def _without_checkpoints(self, final: Mapping[str, Any] | None) -> str:
        root = self.run.root
        if final is None:
            names = ", ".join(self.run.names())
            return (
                f"{root} has weights ({names}) but neither an intact checkpoint to continue from nor an intact final "
                "model; put them back from a copy of the run, or choose another run directory with run=DIRECTORY"
            )
        return (
            f"{root} has ended, after step {final['step']:,}, and {self.run.checkpoints} has no intact checkpoint to "
            f"continue from; train another run that begins with its weights: run=DIRECTORY start_from={root}"
        )

    def _check_vocabulary(self) -> None:
        run, identity = self.run, self.identity
        final = run.models / FINAL
        for path in (self.checkpoint, final if final.is_dir() else None):
            if path is None:
                continue
            try:
                state, _ = read_state(path)
            except DamagedCheckpointError:
                continue
            check_identity(path, state, identity, run.root)
        own = self.config.data.prepared is None
        manifest = self._manifest() if own and IDENTITY not in self.state else None
        # A run of an older version: the data in it know the vocabulary.
        if manifest is not None and not has_vocabulary(manifest, self.tokenizers):
            raise CheckpointError(
                f"the vocabulary of {run.root} is not the one that its data in {run.root / 'prepared'} were prepared "
                f"with; put the tokenizer back, or choose another run directory with run=DIRECTORY"
            )

    def _check_base(self, base: Base, began: Mapping[str, Any] | None, start_from: str) -> None:
        root = self.run.root
        # If pieces were added to it, the vocabulary of this run is another one.
        vocabulary = vocabulary_of(self.tokenizers) if began is None else tuple(began["vocabulary"])
        if base.vocabulary != vocabulary and not (began is None and self.config.tokenizer.extend):
            what = "has another vocabulary than when"
        elif began is not None and began["weights"] != base.weights:
            what = "was trained again since"
        else:
            return
        raise CheckpointError(
            f"start_from: {start_from} {what} {root} was begun with the weights in {base.path}; put it back as it was, "
            "or begin another run with run=DIRECTORY"
        )

    def _changed_corpora(self, config: Config) -> list[str]:
        """Name the corpora for training and validation that are not what the run was begun with."""
        began = self.state.get(BEGAN)
        if began is not None:
            before = began["corpora"]
        elif (manifest := self._manifest()) is not None and has_vocabulary(manifest, self.tokenizers):
            before = fingerprints(manifest["inputs"])
        else:
            # Nothing is known of the content but where it was.
            places = {
                name: (getattr(self.config.data, name), getattr(config.data, name)) for name in ("train", "valid")
            }
            return [f"data.{name}" for name, (old, new) in places.items() if old != new]
        described = corpora_inputs(config.data)
        now = fingerprints(described)
        return [described[name]["name"] for name in now if now[name] != before.get(name)] or [
            f"the corpus for {name}" for name in before if name not in now
        ]

    def _changes(self, config: Config) -> str:
        """Say in a word what of the corpora has changed, which no longer matters."""
        try:
            changed = self._changed_corpora(config)
        except TranslatorError:
            # Gone, perhaps; nobody needs them any more.
            return ""
        return f" ({', '.join(changed)} changed since then: the run is left as it is)" if changed else ""

    def _manifest(self) -> dict[str, Any] | None:
        """The manifest of the prepared data of the run; None if there is none."""
        try:
            return read_manifest(prepared_directory(self.config, self.run.root))
        except DataError:
            return None


def began_with(data: PreparedData, start_from: str | None) -> dict[str, Any]:
    """The entry of a checkpoint's state that says, by content, what its run was begun with."""
    base = Base.read(start_from) if start_from is not None else None
    return {
        BEGAN: {
            "corpora": fingerprints(data.manifest["inputs"]),
            "pairs": data.train_digest(),
            "start_from": {"weights": base.weights, "vocabulary": list(base.vocabulary)} if base is not None else None,
        }
    }


def require_agreement(config: Config) -> Begun | None:
    """Return what data prepared by the settings of a run must agree with; None if it has no weights, or other data.

    Raises `ConfigError` or `CheckpointError` if the run was begun with other settings or corpora, and
    `CheckpointError` if the base that it starts from is not what it was.
    """
    config = complete_config(config)
    if config.start_from is not None:
        Base.read(config.start_from)
    run = RunDirectory(run_directory(config))
    begun = BegunRun.find(run)
    if begun is None or not _is_same(prepared_directory(config), prepared_directory(begun.config, run.root)):
        return None
    check_agreement(foresee(keep_normalization(keep_preset(config, run), run), run), run)
    begun.check(config)
    return begun.as_requirement()


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _is_longer(settings: TrainingSettings, before: TrainingSettings) -> bool:
    """Whether a limit of the length of a training is higher than before."""
    limits = [(getattr(settings, name), getattr(before, name)) for name in ("max_steps", "max_epochs", "patience")]
    return any(old is not None and (new is None or new > old) for new, old in limits)
