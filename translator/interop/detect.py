"""A model of any system that can be read: which one it is, and its importer."""

from collections.abc import Sequence
from pathlib import Path

from translator.errors import CheckpointError
from translator.interop.imported import ImportedModel, Languages
from translator.interop.marian import import_marian, is_marian


def read_foreign(
    source: Path, languages: Languages, vocabularies: Sequence[Path] = (), tokenizers: Sequence[Path] = ()
) -> ImportedModel:
    """Read a model of another system; raise `CheckpointError` if it is of none that can be read."""
    if not source.exists():
        raise CheckpointError(f"{source} does not exist; expected a model file or directory of another system")
    if source.suffix == ".pt":
        raise CheckpointError(
            f"{source} looks like a model of fairseq or OpenNMT-py, whose files run code when they are read; convert "
            "it with CTranslate2's converter for that program (ct2-fairseq-converter, ct2-opennmt-py-converter), on a "
            "machine where that code may run, and import the directory that it writes"
        )
    if is_marian(source):
        return import_marian(source, languages, vocabularies, tokenizers)
    raise CheckpointError(
        f"{source} is no model that can be read; expected a file of Marian (.npz, .bin) or the directory that holds one"
    )
