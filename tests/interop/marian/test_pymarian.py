"""Files that Marian's own trainer wrote, translated by Marian's own decoder and by the run that they become.

Marian is 600 MB, so that it has an environment of its own: `PYMARIAN_PYTHON` names the Python of one with `pymarian`.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.marian.test_import import LINES

Call = Callable[..., tuple[int, str, str]]
SIZE = {
    "type": "transformer", "dim-emb": 32, "enc-depth": 1, "dec-depth": 1, "transformer-heads": 2,
    "transformer-dim-ffn": 48, "cpu-threads": 1, "workspace": 128, "mini-batch": 16, "after-batches": 60,
    "learn-rate": 0.01, "cost-type": "ce-mean-words", "seed": 1,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        "--tied-embeddings-all",
        "--tied-embeddings-all --transformer-decoder-autoreg=rnn --dec-cell=ssru",
        "",
    ],
)
def test_its_decoder_and_ours_translate_alike(shape: str, tmp_path: Path, call_program: Call) -> None:
    python = os.environ.get("PYMARIAN_PYTHON")
    if python is None:
        pytest.skip("pymarian is not installed; PYMARIAN_PYTHON may name the Python of its environment")

    def marian(*arguments: str) -> None:
        subprocess.run([python, "-m", "pymarian", *arguments], cwd=tmp_path, check=True)

    lines = "\n".join(LINES * 20) + "\n"
    for language in ("en", "pt"):
        (tmp_path / f"train.{language}").write_text(lines)
    files = ["--model=model.npz", "--train-sets", "train.en", "train.pt", "--vocabs", "joint.spm", "joint.spm"]
    options = [f"--{name}={value}" for name, value in SIZE.items()]
    marian("train", *files, "--dim-vocabs", "28", "28", *options, *shape.split())
    (tmp_path / "source.txt").write_text("\n".join(LINES) + "\n")
    # A line at a time, for the limit of a line depends on the longest of its batch, and with unknown pieces, as ours.
    options = ["--cpu-threads=1", "--beam-size=1", "--allow-unk", "--mini-batch=1", "--maxi-batch=1", "--quiet"]
    marian("decode", "--config", "model.npz.decoder.yml", *options, "--input", "source.txt", "--output", "theirs.txt")
    run = tmp_path / "run"
    code, _, errors = call_program("import", tmp_path, "--output", run, "--languages", "en-pt")
    assert code == 0, errors
    settings = [f"--set={setting}" for setting in ("beam_size=1", "max_length_factor=3", "max_length_extra=3")]
    code, found, errors = call_program("translate", run, tmp_path / "source.txt", "--engine=native", *settings)
    assert code == 0, errors
    assert found == (tmp_path / "theirs.txt").read_text()
