"""A run as an `.argosmodel`, the package of Argos Translate: a zip file of one directory.

translate-en_de-1_0/metadata.json         languages and version
translate-en_de-1_0/sentencepiece.model   splits the source, and joins the pieces of the translation
translate-en_de-1_0/model/                the CTranslate2 model
translate-en_de-1_0/README.md
"""

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from translator.checkpoints import Bundle
from translator.errors import ConfigError, OutputError
from translator.interop.argos.languages import name_of
from translator.interop.card import Score, describe_run, describe_scores
from translator.interop.checksums import CHECKSUMS
from translator.interop.ctranslate2 import export_ctranslate2
from translator.runtime.outputs import new_output
from translator.text import TokenizerPair

ENDING = ".argosmodel"
_VERSION = "1.0"
_ARGOS_VERSION = "1.9"
"""The oldest Argos Translate that packages of this form are meant for."""
_POSITIONS = 1024
"""Argos Translate lets CTranslate2 read 1,024 pieces and write 256, whatever the model; too few positions crash it."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}")
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file in the package, so that equal weights make equal packages."""


def export_argos(
    bundle: Bundle, file: str | Path, *, quantization: str = "float32", scores: Sequence[Score] = ()
) -> Path:
    """Write a loaded run as an Argos Translate package and return its path; a file that is there is replaced.

    `quantization` is a value of `interop.number_formats.NumberFormat`. Raises `ConfigError` if the package cannot
    express the run or CTranslate2 is not installed, and `OutputError` if the file cannot be written.
    """
    path = Path(file)
    refuse_foreign_run(bundle)
    metadata = _metadata(bundle)
    try:
        with tempfile.TemporaryDirectory(prefix="translator-") as directory:
            model = export_ctranslate2(
                bundle, Path(directory) / "model", quantization=quantization, fewest_positions=_POSITIONS
            )
            texts = {"metadata.json": json.dumps(metadata, indent=2), "README.md": _readme(bundle, metadata, scores)}
            with new_output(path) as output:
                _write_package(cast(BinaryIO, output), _folder(metadata), texts, bundle.tokenizers, model)
    except OSError as error:
        raise OutputError(
            f"no temporary directory for the CTranslate2 model can be made: {error.strerror or error}; set TMPDIR to a "
            "directory that can be written"
        ) from None
    return path


def _write_package(
    output: BinaryIO, folder: str, texts: Mapping[str, str], tokenizers: TokenizerPair, model: Path
) -> None:
    """Write the zip file; `model` is a CTranslate2 model directory."""
    left_out = {CHECKSUMS, *tokenizers.files()}
    with zipfile.ZipFile(output, "w") as package:
        for name, text in texts.items():
            package.writestr(_entry(f"{folder}/{name}"), text)
        package.writestr(_entry(f"{folder}/sentencepiece.model"), tokenizers.source.model)
        for part in sorted(model.iterdir()):
            if part.name not in left_out:
                entry = _entry(f"{folder}/model/{part.name}")
                with part.open("rb") as source, package.open(entry, "w", force_zip64=True) as file:
                    shutil.copyfileobj(source, file, 1 << 20)


def _folder(metadata: Mapping[str, str]) -> str:
    return f"translate-{metadata['from_code']}_{metadata['to_code']}-{_VERSION.replace('.', '_')}"


def refuse_foreign_run(bundle: Bundle) -> None:
    """Raise `ConfigError` with everything that a package cannot express."""
    data, problems = bundle.config.data, []
    if data.language_tags:
        problems.append(
            "data.language_tags: found true, but Argos Translate cannot put a language tag before the source; use --to "
            "ctranslate2 or --to huggingface, or train a run for one pair of languages"
        )
    for name in ("source_language", "target_language"):
        code = getattr(data, name)
        if code is None or not _CODE.fullmatch(code):
            problems.append(
                f"data.{name}: found {code!r}, but Argos Translate finds packages by the codes of their languages, "
                "such as en; write the code into config.yaml of the run"
            )
    model = bundle.config.model
    if model.positions == "learned" and model.max_positions < _POSITIONS:
        problems.append(
            f"model.max_positions: found {model.max_positions:,} with learned positions, but Argos Translate may ask "
            f"for {_POSITIONS:,}; use --to ctranslate2 or --to huggingface"
        )
    if not _has_all_bytes(bundle.tokenizers):
        problems.append(
            "tokenizer: the target has pieces for single bytes that the source lacks, and Argos Translate has one "
            "tokenizer for both; use --to ctranslate2 or --to huggingface"
        )
    if problems:
        raise ConfigError(problems)


def _has_all_bytes(tokenizers: TokenizerPair) -> bool:
    """Whether the source tokenizer can join the target's pieces: it joins unknown pieces as text, except bytes."""
    source, target = tokenizers.source, tokenizers.target
    sides = [
        {tokenizer.pieces([index])[0] for index in range(tokenizer.vocab_size) if tokenizer.is_byte(index)}
        for tokenizer in (source, target)
    ]
    return sides[1] <= sides[0]


def _metadata(bundle: Bundle) -> dict[str, str]:
    data = bundle.config.data
    assert data.source_language is not None and data.target_language is not None
    return {
        "package_version": _VERSION,
        "argos_version": _ARGOS_VERSION,
        "type": "translate",
        "from_code": data.source_language,
        "from_name": name_of(data.source_language),
        "to_code": data.target_language,
        "to_name": name_of(data.target_language),
    }


def _readme(bundle: Bundle, metadata: dict[str, str], scores: Sequence[Score]) -> str:
    lines = [
        f"# {metadata['from_name']} - {metadata['to_name']}",
        "",
        "Exported by the program translator: `translator export RUN --to argos`. Install it with `argospm install "
        f"FILE{ENDING}`, or from Python with `argostranslate.package.install_from_path`.",
        "",
        *describe_run(bundle),
        "",
        *describe_scores(scores),
    ]
    return "\n".join(lines) + "\n"


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
