"""Directories of CTranslate2 and packages of Argos Translate as runs: what was exported comes back."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import Bundle, load_bundle, model_tensors
from translator.interop.detect import read_foreign
from translator.interop.imported import Languages, write_imported

pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
from translator.interop.argos import export_argos
from translator.interop.ctranslate2 import export_ctranslate2

Make = Callable[..., Bundle]


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"activation": "swish", "output_bias": True, "tie_embeddings": "decoder", "positions": "marian"},
        {"tie_embeddings": "none", "encoder_layers": 2, "norm_epsilon": 1e-6},
        {"norm": "pre", "positions": "learned", "activation": "gelu", "head_dim": 6},
    ],
    ids=str,
)
@pytest.mark.parametrize("number", ["float32", "float16", "bfloat16", "int16", "int8"])
def test_an_export_comes_back(
    bundle: Bundle, with_model: Make, tmp_path: Path, shape: dict[str, Any], number: str
) -> None:
    bundle = with_model(bundle, **shape)
    path = export_ctranslate2(bundle, tmp_path / "model", quantization=number)
    config = write_imported(read_foreign(path, Languages("en", "de")), tmp_path / "run")
    again = load_bundle(tmp_path / "run")
    kept = config.model.model_dump(exclude={"dropout", "head_dim"})
    assert kept == bundle.config.model.model_dump(exclude={"dropout", "head_dim"})
    assert again.tokenizers.files() == bundle.tokenizers.files()
    expected, found = model_tensors(bundle.model), model_tensors(again.model)
    assert expected.keys() == found.keys()
    error = {"float32": 0.0, "float16": 1e-3, "bfloat16": 1e-2, "int16": 1e-3, "int8": 2e-2}[number]
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=error, rtol=error)


def test_a_package_comes_back_with_its_languages(bundle: Bundle, with_model: Make, tmp_path: Path) -> None:
    bundle = with_model(bundle)
    path = export_argos(bundle, tmp_path / "en-de.argosmodel")
    config = write_imported(read_foreign(path, Languages()), tmp_path / "run")
    assert (config.data.source_language, config.data.target_language) == ("en", "de")
    expected, found = model_tensors(bundle.model), model_tensors(load_bundle(tmp_path / "run").model)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_hostile_models_are_refused_in_a_sentence(
    bundle: Bundle, with_model: Make, tmp_path: Path, call_program: Callable[..., tuple[int, str, str]]
) -> None:
    whole = export_ctranslate2(with_model(bundle), tmp_path / "whole")
    content = (whole / "model.bin").read_bytes()
    shape = content.index(b"beddings/weight\0") + 17
    damaged = {f"short {size}": content[:size] for size in (0, 3, 20, 700, len(content) // 2)}
    damaged["version"] = b"\x07" + content[1:]
    # As many numbers in another shape.
    damaged["turned"] = content[: shape + 1] + content[shape + 5 : shape + 9] + content[shape + 1 : shape + 5]
    damaged["turned"] += content[shape + 9 :]
    damaged["shape"] = content[:shape] + b"\xff\xff" + content[shape + 2 :]
    for name, changed in damaged.items():
        path = tmp_path / name
        path.mkdir()
        for file in whole.iterdir():
            (path / file.name).write_bytes(changed if file.name == "model.bin" else file.read_bytes())
    package = export_argos(with_model(bundle), tmp_path / "whole.argosmodel")
    (tmp_path / "short.argosmodel").write_bytes(package.read_bytes()[:2000])
    with zipfile.ZipFile(package) as archive, zipfile.ZipFile(tmp_path / "slip.argosmodel", "w") as slip:
        for member in archive.infolist():
            slip.writestr("../../" * 9 + f"{tmp_path}/../slipped/{member.filename}", archive.read(member))
        slip.writestr("model/extra.py", "raise SystemExit")
    link = zipfile.ZipInfo("translate-en_de/model/model.bin")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.argosmodel", "w") as linked:
        linked.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(package) as archive, zipfile.ZipFile(tmp_path / "bomb.argosmodel", "w") as bomb:
        for member in archive.infolist():
            bomb.writestr(member.filename, archive.read(member))
        for member in bomb.infolist():
            # What the directory at the end of the file then claims.
            member.file_size = 1 << 34
    with zipfile.ZipFile(tmp_path / "empty.argosmodel", "w") as empty:
        empty.writestr("translate-en_de/metadata.json", "{}")
    for name in [*damaged, *(f"{name}.argosmodel" for name in ("short", "empty", "link", "bomb"))]:
        run = tmp_path / f"run of {name}"
        code, output, errors = call_program("import", tmp_path / name, "--output", run)
        assert (code, output) == (1, "") and "Traceback" not in errors and name in errors, (name, errors)
        assert not run.exists()
    # Only names count, so that such a package writes nothing outside; it is a whole model.
    before = {path for path in tmp_path.parent.rglob("*") if "run of slip" not in str(path)}
    code, _, errors = call_program("import", tmp_path / "slip.argosmodel", "--output", tmp_path / "run of slip")
    assert code == 0, errors
    assert {path for path in tmp_path.parent.rglob("*") if "run of slip" not in str(path)} == before
