"""A model of any system that can be read: which one it is, and its importer."""

from collections.abc import Sequence
from pathlib import Path

from translator.errors import CheckpointError, ConfigError
from translator.interop.ctranslate2.model import import_ctranslate2, is_ctranslate2
from translator.interop.download import HUB, download
from translator.interop.huggingface import import_huggingface, is_huggingface
from translator.interop.imported import ImportedModel, Languages
from translator.interop.marian import import_marian, is_marian

_FILES = ("model.bin", "model.safetensors", "pytorch_model.bin")
"""Files of CTranslate2 and transformers, each of which stands for its directory."""


def read_foreign(
    source: str | Path, languages: Languages, vocabularies: Sequence[Path] = (), tokenizers: Sequence[Path] = ()
) -> ImportedModel:
    """Read a model of another system; raise `CheckpointError` if it is of none that can be read.

    `vocabularies` and `tokenizers` are for Marian, whose files have no fixed names (see `import_marian`); raises
    `ConfigError` if they are given for another system.
    """
    path = download(str(source).removeprefix(HUB)) if str(source).startswith(HUB) else Path(source)
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist; expected a model file or directory of another system, or hub:NAME"
        )
    if path.suffix in (".pt", ".ckpt", ".chkpt"):
        raise CheckpointError(
            f"{path} looks like a model of fairseq or OpenNMT-py, whose files run code when they are read; convert it "
            "with CTranslate2's converter for that program (ct2-fairseq-converter, ct2-opennmt-py-converter), on a "
            "machine where that code may run, and import the directory that it writes"
        )
    if path.name in _FILES and (is_ctranslate2(path.parent) or is_huggingface(path.parent)):
        path = path.parent
    if (vocabularies or tokenizers) and (is_ctranslate2(path) or is_huggingface(path)):
        raise ConfigError(
            [f"--vocabulary, --tokenizer: they are for models of Marian, and {path} is another's; leave them out"]
        )
    try:
        if is_ctranslate2(path):
            return import_ctranslate2(path, languages)
        if is_huggingface(path):
            return import_huggingface(path, languages)
        if is_marian(path):
            return import_marian(path, languages, vocabularies, tokenizers)
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        # The importers check what they can name; an array or a setting of a stranger may be anything else, too.
        raise CheckpointError(
            f"{path} is damaged or no model of this kind: its arrays do not fit together "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); download or convert it again"
        ) from error
    raise CheckpointError(
        f"{path} is no model that can be read; expected a directory of transformers (config.json, model.safetensors, "
        "source.spm, target.spm, vocab.json) or of CTranslate2 (model.bin), an .argosmodel, or a model file of Marian "
        "(.npz, .bin) or its directory"
    )
