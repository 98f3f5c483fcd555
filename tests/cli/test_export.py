"""`translator export` checks its output before it loads a run, and passes the rest on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("system", "output", "files"),
    [
        ("huggingface", "model", ["README.md", "config.json", "generation_config.json", "model.safetensors"]),
        ("ctranslate2", "deep/model", ["README.md", "config.json", "model.bin", "tokenizer.model"]),
        ("argos", "deep/en-de.argosmodel", None),
    ],
)
def test_each_system(
    tiny_run: Path, tmp_path: Path, call_program: Program, system: str, output: str, files: list[str] | None
) -> None:
    run, path = tmp_path / "run", tmp_path / output
    shutil.copytree(tiny_run, run)
    score = {"name": "BLEU", "value": 12.5, "signature": "nrefs:1"}
    entry = {"test_set": "mine", "sentences": 7, "weights": "final", "scores": [score]}
    (run / "scores.json").write_text(json.dumps([entry]))
    for _ in range(2):  # The second replaces the first.
        code, printed, errors = call_program("export", run, "--to", system, "--output", path)
        assert (code, printed) == (0, f"{path}\n"), errors
    if files is None:
        assert path.read_bytes().startswith(b"PK")
    else:
        assert {file.name for file in path.iterdir()} >= {*files, "sha256.json"}
        assert "| mine | 7 | BLEU | 12.50 | `nrefs:1` |" in (path / "README.md").read_text()


@pytest.mark.parametrize("to", ["int8", "float16", "int8_float32"])
def test_number_formats(tiny_run: Path, tmp_path: Path, call_program: Program, to: str) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
    sizes = []
    for name, options in (("whole", ()), ("small", ("--quantize", to))):
        path = tmp_path / name
        code, _, errors = call_program("export", tiny_run, "--to", "ctranslate2", "--output", path, *options)
        assert code == 0, errors
        sizes.append((path / "model.bin").stat().st_size)
        assert ctranslate2.Translator(str(path)).translate_batch([["\u2581a"]], max_decoding_length=3)
    assert sizes[1] < 0.7 * sizes[0]
    assert f"--quantize {to}" in (path / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("--to", "huggingface", "--output", "{0}/m", "--quantize", "int8"), 2, "--quantize is for ctranslate2"),
        (("--to", "onnx", "--output", "{0}/m"), 2, "onnx"),
        (("--to", "argos", "--output", "{0}/m"), 1, "expected a file name that ends in .argosmodel"),
        (("--to", "huggingface", "--output", "{0}"), 1, "holds what we did not write (notes)"),
        (("--to", "ctranslate2", "--output", "{0}/notes"), 1, "notes is not a directory"),
        (("--to", "huggingface", "--output", "{run}"), 1, "config.yaml"),
        (("--to", "huggingface", "--output", "{run}/models/final"), 1, "is read, and nothing is written there"),
        (("--to", "ctranslate2", "--output", "{0}/m", "--weights", "none"), 1, "no weights called 'none'"),
    ],
)  # fmt: skip
def test_mistakes_are_explained_before_anything_is_written(
    tiny_run: Path, tmp_path: Path, call_program: Program, arguments: tuple[str, ...], code: int, error: str
) -> None:
    (tmp_path / "notes").write_text("mine")
    words = [word.format(tmp_path, run=tiny_run) for word in arguments]
    found, printed, errors = call_program("export", tiny_run, *words)
    assert (found, printed) == (code, "") and error in " ".join(errors.replace("\u2502", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
