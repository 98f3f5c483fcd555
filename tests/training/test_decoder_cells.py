"""A run with SSRU decoders goes all the way: training, resume, both kinds of search, scores, heads and pruning."""

from collections.abc import Callable
from pathlib import Path

import torch

from translator.checkpoints import RunDirectory, read_checkpoint

Call = Callable[..., tuple[int, str, str]]
WORDS = ["model.decoder_cell=ssru", "model.output_bias=true", "model.activation=swish", "model.positions=marian"]


def test_recurrent_run_trains_resumes_translates_and_is_inspected(settings_file: Path, call_program: Call) -> None:
    corpus = settings_file.parent
    whole, parts = corpus / "whole", corpus / "parts"
    assert call_program("train", settings_file, f"run={whole}", *WORDS)[0] == 0
    for steps in (5, 12):
        code, _, errors = call_program("train", settings_file, f"run={parts}", *WORDS, f"training.max_steps={steps}")
        assert code == 0, errors
    one, other = (read_checkpoint(RunDirectory(run).checkpoint(12)).weights for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    for setting in ("beam_size=1", "beam_size=3", "search=sampling"):
        code, output, errors = call_program("translate", whole, f"--set={setting}", input=b"the dog sleeps.\n\nhouse\n")
        assert code == 0 and output.count("\n") == 3, errors
        assert "it has no ssru decoder" in errors
    code, _, errors = call_program("translate", whole, "--engine=ctranslate2", input=b"the dog\n")
    assert code == 1 and "decoder_cell is ssru" in errors
    files = [f"--{side}={corpus}/valid.{language}" for side, language in (("source", "en"), ("reference", "de"))]
    code, output, errors = call_program("heads", whole, *files, f"--output={corpus}/heads.png")
    assert code == 0 and "cross.1.2" in output and "decoder.1.1" not in output, errors
    page = corpus / "page.html"
    assert call_program("attention", whole, "the dog sleeps.", "--target=ein Hund", "--output", page)[0] == 0
    pruned = corpus / "pruned"
    code, _, errors = call_program("prune", whole, f"--output={pruned}", "--heads=cross.1.2", *files)
    assert code == 0, errors
    assert call_program("translate", pruned, input=b"the dog\n")[0] == 0
