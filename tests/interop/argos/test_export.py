"""A package for Argos Translate: its layout, what is refused, and the program itself, if it is installed.

Argos Translate needs other packages than we do, so that it has an environment of its own: `ARGOS_PYTHON` names the
Python of one where `pip install argostranslate` was done.
"""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from tests.patience import PATIENCE
from translator.checkpoints import Bundle
from translator.errors import ConfigError, OutputError
from translator.interop.argos import export_argos
from translator.interop.ctranslate2 import export_ctranslate2

library = pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")

Make = Callable[..., Bundle]
FOLDER = "translate-en_de-1_0"
LINES = ["a dog sleeps", "one_two", "the red house.", "\u4f60\u597d \U0001f680"]


def with_data(bundle: Bundle, **data: Any) -> Bundle:
    config = bundle.config.model_copy(update={"data": bundle.config.data.model_copy(update=data)})
    return dataclasses.replace(bundle, config=config)


def expected_translations(bundle: Bundle, path: Path) -> list[str]:
    """Translate as Argos Translate does, with our own export and tokenizers."""
    translator = library.Translator(str(path), compute_type="float32", intra_threads=1)
    source, target = bundle.tokenizers.source, bundle.tokenizers.target
    answers = translator.translate_batch(
        [source.encode_pieces(line) for line in LINES], beam_size=4, length_penalty=0.2
    )
    # It takes every low line for a space.
    return [target.decode_pieces(answer.hypotheses[0]).replace("_", " ") for answer in answers]


def test_the_layout(bundle: Bundle, with_model: Make, tmp_path: Path) -> None:
    bundle = with_model(bundle)
    path = export_argos(bundle, tmp_path / "packages" / "en-de.argosmodel")
    with zipfile.ZipFile(path) as package:
        assert sorted(package.namelist()) == [
            f"{FOLDER}/README.md", f"{FOLDER}/metadata.json", f"{FOLDER}/model/config.json",
            f"{FOLDER}/model/model.bin", f"{FOLDER}/model/shared_vocabulary.json", f"{FOLDER}/sentencepiece.model",
        ]  # fmt: skip
        package.extractall(tmp_path / "installed")
    installed = tmp_path / "installed" / FOLDER
    assert json.loads((installed / "metadata.json").read_text()) == {
        "package_version": "1.0", "argos_version": "1.9", "type": "translate", "from_code": "en",
        "from_name": "English", "to_code": "de", "to_name": "German",
    }  # fmt: skip
    assert (installed / "sentencepiece.model").read_bytes() == bundle.tokenizers.source.model
    ours = export_ctranslate2(bundle, tmp_path / "model", fewest_positions=1024)
    for name in ("model.bin", "config.json", "shared_vocabulary.json"):
        assert (installed / "model" / name).read_bytes() == (ours / name).read_bytes()


def test_equal_runs_make_equal_packages(bundle: Bundle, tmp_path: Path) -> None:
    first, second = (export_argos(bundle, tmp_path / f"{name}.argosmodel").read_bytes() for name in "ab")
    assert first == second
    assert len(export_argos(bundle, tmp_path / "a.argosmodel", quantization="int8").read_bytes()) < len(first)


def test_one_tokenizer_joins_the_pieces_of_the_other_vocabulary(bundle: Bundle, with_two_vocabularies: Make) -> None:
    """Argos Translate has one SentencePiece model, for both sides."""
    bundle = with_two_vocabularies(bundle)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=bundle.tokenizers.source.model)
    target = bundle.tokenizers.target
    for line in [*LINES, "das Haus der Mann", "ein Hund."]:
        joined = theirs.decode_pieces(target.encode_pieces(line)).replace("\u2581", " ").removeprefix(" ")
        assert joined == target.decode_pieces(target.encode_pieces(line))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            {"source_language": None},
            "data.source_language: found None, but Argos Translate finds packages",
        ),
        ({"target_language": "../de"}, "data.target_language: found '../de'"),
        ({"language_tags": True}, "data.language_tags: found true, but Argos Translate cannot put a language tag"),
    ],
    ids=str,
)
def test_what_a_package_cannot_express_is_refused(
    bundle: Bundle, tmp_path: Path, data: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        export_argos(with_data(bundle, **data), tmp_path / "m.argosmodel")
    assert not list(tmp_path.iterdir())


def test_a_learned_table_that_is_too_short_is_refused(bundle: Bundle, with_model: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model.max_positions: found 64 with learned positions"):
        export_argos(with_model(bundle, positions="learned"), tmp_path / "m.argosmodel")


def test_a_failed_export_leaves_the_old_package(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_argos(bundle, tmp_path / "m.argosmodel")
    before = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(OutputError, match=r"m.argosmodel cannot be written \(No space left on device\)"):
        export_argos(bundle, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("vocabularies", ["one", "two"])
def test_argos_translate_installs_it_and_translates(
    bundle: Bundle, with_model: Make, with_two_vocabularies: Make, tmp_path: Path, vocabularies: str
) -> None:
    python = os.environ.get("ARGOS_PYTHON")
    if python is None and importlib.util.find_spec("argostranslate") is None:
        pytest.skip("argostranslate is not installed; ARGOS_PYTHON may name the Python of its environment")
    if vocabularies == "two":
        bundle = with_model(with_two_vocabularies(bundle), tie_embeddings="decoder")
    else:
        bundle = with_model(bundle)
    package = export_argos(bundle, tmp_path / "m.argosmodel")
    home = {"HOME": str(tmp_path / "home"), "XDG_DATA_HOME": str(tmp_path / "home"), "ARGOS_COMPUTE_TYPE": "float32"}
    finished = subprocess.run(
        [python or sys.executable, str(Path(__file__).with_name("argos_translate.py")), str(package)],
        input=json.dumps(LINES), capture_output=True, text=True, timeout=PATIENCE,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **home},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert found["names"] == ["English", "German"]
    assert "argospm install" in found["readme"]
    expected = expected_translations(bundle, export_ctranslate2(bundle, tmp_path / "model", fewest_positions=1024))
    assert found["translations"] == expected and any(expected)
