"""A run as a model directory for CTranslate2, the C++ library for inference.

The library can also convert weights to another number format when it loads them, which is what our own engine does.
"""

import shutil
from pathlib import Path

from translator.checkpoints import Bundle
from translator.interop.checksums import explained_writing, listed_files, write_checksums
from translator.interop.ctranslate2.specification import specification
from translator.runtime.directories import Contents, new_directory
from translator.text.tokenizer_pair import save_tokenizers

SHORTLIST = "vmap.txt"
"""The library's name for a lexical shortlist."""


def export_ctranslate2(
    bundle: Bundle,
    directory: str | Path,
    *,
    quantization: str = "float32",
    readme: str | None = None,
    fewest_positions: int = 0,
    shortlist: Path | None = None,
) -> Path:
    """Write a loaded run as a CTranslate2 model directory and return its path; an earlier export there is replaced.

    The model takes token strings, which are the pieces of the tokenizer (its file is next to the model), and adds the
    end-of-sentence token of the source itself. `quantization` is a value of `interop.number_formats.NumberFormat`, and
    `readme` the text of a README.md. A table of sinusoids has `fewest_positions` at least, even if the run never uses
    that many. A file `shortlist` is what the library's `use_vmap` uses. Raises `ConfigError` if the library is not
    installed, `TokenizerError` if two pieces are the same string, `OutputError` if the directory has files of others,
    and `CheckpointError` if it cannot be written.
    """
    path = Path(directory)
    with explained_writing(path):
        write_model(bundle, path, listed_files, quantization, readme, fewest_positions, shortlist)
    return path


def write_model(
    bundle: Bundle,
    path: Path,
    contents: Contents,
    quantization: str = "float32",
    readme: str | None = None,
    fewest_positions: int = 0,
    shortlist: Path | None = None,
) -> None:
    """Write the model to `path`, which is replaced if nothing but the files that `contents` names is there."""
    spec = specification(bundle, fewest_positions)
    spec.validate()
    # Shared matrices are stored once.
    spec.optimize(quantization)
    with new_directory(path, contents) as partial:
        spec.save(str(partial))
        save_tokenizers(bundle.tokenizers, partial)
        if shortlist is not None:
            shutil.copyfile(shortlist, partial / SHORTLIST)
        if readme is not None:
            (partial / "README.md").write_text(readme, encoding="utf-8")
        write_checksums(partial)
