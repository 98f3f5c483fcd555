"""What a model is besides its weights: the vocabulary and the settings that give the numbers their meaning.

It is written into the state of every checkpoint and model, and compared wherever one is loaded, so that weights never
meet another vocabulary. Paths are no part of it: a run may be moved. What versions before this one wrote has no
identity; it is accepted, and gets one when it is next written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.checkpoints.checkpoint import WEIGHTS, read_state
from translator.checkpoints.run_directory import RunDirectory
from translator.checkpoints.weights import find_weights
from translator.config import KINDS, Config, parse_start, read_run_config
from translator.errors import CheckpointError
from translator.text import TokenizerPair, load_tokenizers, tokenizer_files

IDENTITY = "identity"
"""Its name in a state."""
BEGAN = "began_with"
"""The name, in the state of a checkpoint, of what its run was begun with: corpora and base (`translator.training`)."""


@dataclass(frozen=True)
class Identity:
    """The vocabulary and the settings that the weights of a run belong to."""

    vocabulary: tuple[str, str]
    """The digests of the tokenizers of source and target (`Tokenizer.digest`), which are the same if they share one."""
    settings: Mapping[str, Any]
    """Settings that change the parameters or what they mean, by dotted name."""

    @classmethod
    def of(cls, config: Config, tokenizers: TokenizerPair) -> "Identity":
        """The identity of models that are trained under these settings with these tokenizers."""
        model = config.model
        values = model.model_dump(mode="json", exclude={"num_heads"})
        values |= {f"{kind}_heads": model.heads(kind) for kind in KINDS} | {"head_dim": model.width_of_head}
        settings = {f"model.{name}": value for name, value in values.items() if "dropout" not in name}
        return cls(vocabulary_of(tokenizers), settings | {"data.language_tags": config.data.language_tags})

    def as_state(self) -> dict[str, Any]:
        """The entry of a state that binds its weights to this identity."""
        return {IDENTITY: {"vocabulary": list(self.vocabulary), "settings": dict(self.settings)}}

    def digest(self, checksums: Mapping[str, str]) -> str:
        """Identify a model, hex SHA-256: weights (by the `checksums` of its files), vocabulary and settings."""
        parts = [checksums[WEIGHTS], list(self.vocabulary), sorted(self.settings.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def vocabulary_of(tokenizers: TokenizerPair) -> tuple[str, str]:
    """The digests of the tokenizers of source and target."""
    return tokenizers.source.digest, tokenizers.target.digest


def run_identity(run: str | Path) -> Identity:
    """The identity of the models of a run: its settings, and its tokenizers as they are now."""
    return Identity.of(read_run_config(run), load_tokenizers(run))


def check_identity(where: Path, state: Mapping[str, Any], expected: Identity, run: Path) -> None:
    """Raise `CheckpointError` if the weights at `where`, with this `state`, do not belong to the identity of `run`."""
    found = state.get(IDENTITY)
    if found is None:
        return
    vocabulary = tuple(found["vocabulary"])
    if vocabulary != expected.vocabulary:
        names = tokenizer_files(len(set(expected.vocabulary)) == 1)
        side = 1 if vocabulary[:1] == expected.vocabulary[:1] else 0
        raise CheckpointError(
            f"{where} was trained with another vocabulary than {run / names[min(side, len(names) - 1)]}: found SHA-256 "
            f"{expected.vocabulary[side][:12]}..., expected {''.join(vocabulary[side : side + 1])[:12]}...; put back "
            f"the tokenizer that the run was trained with ({run / 'prepared'} may have a copy), or use the run that "
            "this tokenizer belongs to"
        )
    differences = [
        f"{name} is {expected.settings[name]!r}, expected {value!r}"
        for name, value in found["settings"].items()
        if name in expected.settings and expected.settings[name] != value
    ]
    if differences:
        raise CheckpointError(
            f"{where} was trained with other settings than those in {run / 'config.yaml'}: {'; '.join(differences)}; "
            "put these settings back as they were"
        )


@dataclass(frozen=True)
class Base:
    """The model that a run starts from, by content."""

    path: Path
    """The directory of its weights."""
    weights: str
    """SHA-256 of their file."""
    vocabulary: tuple[str, str]
    """As in `Identity`."""

    @classmethod
    def read(cls, start_from: str) -> "Base":
        """Find the model that the setting `start_from` names; raise `CheckpointError` if it is not what it was."""
        start = parse_start(start_from)
        path = find_weights(RunDirectory(start.run), start.weights)
        identity = run_identity(start.run)
        state, checksums = read_state(path)
        check_identity(path, state, identity, start.run)
        return cls(path, checksums[WEIGHTS], identity.vocabulary)
