"""The tokenizers of both sides of a run, one for both or two, and the files of a directory that they are kept in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from translator.config import ModelSettings
from translator.errors import ConfigError, TokenizerError
from translator.runtime.files import write_bytes
from translator.text.tokenizer import Tokenizer
from translator.text.vocabulary import SUFFIX

JOINT_MODEL = "tokenizer.model"
SOURCE_MODEL = "tokenizer.source.model"
TARGET_MODEL = "tokenizer.target.model"


@dataclass(frozen=True)
class TokenizerPair:
    """The tokenizers of both sides; the same object if they share a model file."""

    source: Tokenizer
    target: Tokenizer
    joint: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """The sizes of both vocabularies."""
        return self.source.vocab_size, self.target.vocab_size

    @property
    def share_ids(self) -> bool:
        """Whether every id means the same piece on both sides, so that these may share an embedding matrix."""
        if self.joint or self.source.digest == self.target.digest:
            return True
        return self.sizes[0] == self.sizes[1] and self.source.pieces(range(self.sizes[0])) == self.target.pieces(
            range(self.sizes[1])
        )

    def files(self) -> dict[str, bytes]:
        """The content of its files by name."""
        files = {}
        for name, side in zip(tokenizer_files(self.joint), (self.source, self.target), strict=False):
            files[name] = side.model
            if side.vocabulary is not None:
                files[Path(name).with_suffix(SUFFIX).name] = side.vocabulary.dump()
        return files


def tokenizer_files(joint: bool) -> list[str]:
    """Name the model files of a directory."""
    return [JOINT_MODEL] if joint else [SOURCE_MODEL, TARGET_MODEL]


TOKENIZER_NAMES = frozenset(
    name
    for model in (JOINT_MODEL, SOURCE_MODEL, TARGET_MODEL)
    for name in (model, Path(model).with_suffix(SUFFIX).name)
)
"""The names of all files that a tokenizer pair may consist of."""


def load_tokenizers(directory: str | Path) -> TokenizerPair:
    """Load the tokenizer or the two tokenizers of a directory; raise `TokenizerError` if there is none."""
    path = Path(directory)
    if (path / JOINT_MODEL).exists():
        joint = Tokenizer.load(path / JOINT_MODEL)
        return TokenizerPair(joint, joint, True)
    if not (path / SOURCE_MODEL).exists() and not (path / TARGET_MODEL).exists():
        raise TokenizerError(f"{path} has no tokenizer; expected {JOINT_MODEL}, or {SOURCE_MODEL} and {TARGET_MODEL}")
    return TokenizerPair(Tokenizer.load(path / SOURCE_MODEL), Tokenizer.load(path / TARGET_MODEL), False)


def load_given_tokenizers(model: str | Sequence[str]) -> TokenizerPair:
    """Load what the setting `tokenizer.model` names: one SentencePiece model for both sides, or one for each.

    Raises `TokenizerError` if a file is missing or damaged.
    """
    if isinstance(model, str):
        joint = Tokenizer.load(model)
        return TokenizerPair(joint, joint, True)
    source, target = model
    return TokenizerPair(Tokenizer.load(source), Tokenizer.load(target), False)


def require_shared_ids(settings: ModelSettings, tokenizers: TokenizerPair) -> None:
    """Raise `ConfigError` if both sides share an embedding matrix but not their ids."""
    if settings.tie_embeddings == "all" and not tokenizers.share_ids:
        raise ConfigError(
            [
                "model.tie_embeddings: `all` needs the same pieces with the same ids on both sides, but the two "
                "tokenizers differ; expected decoder or none"
            ]
        )


def save_tokenizers(tokenizers: TokenizerPair, directory: Path) -> None:
    """Write the files into a directory that exists."""
    for name, content in tokenizers.files().items():
        (directory / name).write_bytes(content)


def copy_tokenizers(from_directory: str | Path, to_directory: str | Path) -> None:
    """Copy the tokenizer files of a directory into another; each appears complete or not at all.

    All others are removed there: they would be another vocabulary.
    """
    files = load_tokenizers(from_directory).files()
    for name, content in files.items():
        write_bytes(Path(to_directory) / name, content)
    for name in TOKENIZER_NAMES - files.keys():
        (Path(to_directory) / name).unlink(missing_ok=True)
