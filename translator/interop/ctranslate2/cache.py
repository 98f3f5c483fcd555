"""The CTranslate2 model that our own engine uses: written once, in fp32, and kept in the run directory."""

import atexit
import hashlib
import re
import shutil
import tempfile
from pathlib import Path

import torch

from translator.checkpoints import Bundle, RunDirectory, model_tensors
from translator.errors import CheckpointError, OutputError
from translator.interop.checksums import CHECKSUMS, is_whole, listed_files
from translator.interop.ctranslate2.export import SHORTLIST, export_ctranslate2, write_model
from translator.interop.ctranslate2.library import require_ctranslate2
from translator.runtime.console import say, warn
from translator.runtime.directories import foreign_names, refuse_links, remove_directory, remove_partial, set_aside
from translator.runtime.files import locked
from translator.text.tokenizer_pair import TOKENIZER_NAMES

_VOCABULARIES = {f"{side}_vocabulary.json" for side in ("source", "target", "shared")}
_NAMES = {CHECKSUMS, "model.bin", "config.json", SHORTLIST, *_VOCABULARIES, *TOKENIZER_NAMES}
_LAYOUT = 2
"""To be raised when the same weights are written in another way, so that kept exports are written again."""


def cached_ctranslate2(bundle: Bundle, shortlist: Path | None = None) -> Path:
    """Return the CTranslate2 model directory of a loaded run: RUN/exports/ctranslate2-WEIGHTS-KEY.

    With the file of a `shortlist`, it is RUN/exports/ctranslate2-WEIGHTS+shortlist-KEY. The key is a digest of all that
    goes into the export, weights included. If it does not exist, it is written (by one process, if several ask at
    the same time) and replaces earlier exports of the same name. If the run directory cannot be written, the export is
    in a temporary directory until this process ends, and stderr says so.
    """
    exports = RunDirectory(bundle.directory).exports
    name = bundle.weights if shortlist is None else f"{bundle.weights}+shortlist"
    path = exports / f"ctranslate2-{name}-{_key(bundle, shortlist)}"
    if is_whole(path):
        return path
    try:
        refuse_links(bundle.directory, [exports])
        exports.mkdir(exist_ok=True)
        with locked(exports):
            if not is_whole(path):
                if path.is_dir():
                    warn(f"{path} is damaged: its files do not match their checksums; it is made again")
                remove_partial(exports)
                if path.is_dir() and foreign_names(path, _files_of_export):
                    set_aside(path)
                write_model(bundle, path, _files_of_export, shortlist=shortlist)
                _remove_others(path)
        return path
    except (OSError, OutputError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        say(f"{exports} cannot be written ({reason}), so the model for CTranslate2 is not kept there")
        return _temporary_export(bundle, path.name, shortlist)


def _temporary_export(bundle: Bundle, name: str, shortlist: Path | None) -> Path:
    """Export into a directory that is removed when this process ends; raise `CheckpointError` if that fails too."""
    try:
        directory = Path(tempfile.mkdtemp(prefix="translator-"))
    except OSError as error:
        raise CheckpointError(
            f"no temporary directory for the CTranslate2 model can be made: {error.strerror or error}; set TMPDIR to a "
            "directory that can be written"
        ) from None
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return export_ctranslate2(bundle, directory / name, shortlist=shortlist)


def _remove_others(path: Path) -> None:
    """Remove the exports of earlier weights of the same name."""
    same_name = re.compile(re.escape(path.name.rpartition("-")[0]) + r"-[0-9a-f]{16}")
    for other in path.parent.iterdir():
        if other != path and same_name.fullmatch(other.name) and not foreign_names(other, _files_of_export):
            remove_directory(other)


def _key(bundle: Bundle, shortlist: Path | None) -> str:
    library = require_ctranslate2()
    digest = hashlib.sha256(f"{_LAYOUT} {library.__version__} {bundle.config.model.model_dump_json()}".encode())
    for tokenizer in (bundle.tokenizers.source, bundle.tokenizers.target):
        digest.update(tokenizer.digest.encode())
    for weight in model_tensors(bundle.model).values():
        digest.update(weight.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    if shortlist is not None:
        digest.update(shortlist.read_bytes())
    return digest.hexdigest()[:16]


def _files_of_export(path: Path) -> set[str]:
    """Return the names of the files of a model in a run's `exports`, damaged or not; none of another directory."""
    listed = listed_files(path)
    # The list may be damaged.
    return listed | _NAMES if listed or (path / "model.bin").is_file() else set()
