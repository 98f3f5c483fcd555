"""A run that starts from another with new pieces for another script: rows, training, resuming, translating, export."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from translator.checkpoints import RunDirectory, load_bundle, model_tensors, read_checkpoint, read_state
from translator.config import read_run_config
from translator.errors import CheckpointError
from translator.text import Tokenizer, load_tokenizers
from translator.training.extended_weights import extended_weights
from translator.training.initial_model import initial_model

Call = Callable[..., tuple[int, str, str]]

GREEK = {ord(letter): chr(0x3B1 + index) for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}


def write_greek(corpus: Path) -> Path:
    """Write the corpus with its target side in another script, as `el`."""
    folder = corpus / "greek"
    folder.mkdir()
    for part in ("train", "valid"):
        lines = (corpus / f"{part}.en").read_text()
        (folder / f"{part}.en").write_text(lines)
        (folder / f"{part}.el").write_text(lines.lower().translate(GREEK))
    return folder


def words_of(folder: Path, base: Path, *words: str) -> list[str]:
    """Return the settings of a run that starts from `base` on the corpus of another script."""
    return [
        f"data.train={folder}/train.{{en,el}}", f"data.valid={folder}/valid.{{en,el}}", f"start_from={base}",
        "data.max_length=60", "training.batch_tokens=300", "training.max_steps=6", "training.validate_every=2",
        "training.validation_sentences=4", "training.keep_last=2", "training.average_last=2", *words,
    ]  # fmt: skip


def but(words: list[str], *changes: str) -> list[str]:
    """Return the words with others for the same settings."""
    names = [change.partition("=")[0] for change in changes]
    return [*(word for word in words if word.partition("=")[0] not in names), *changes]


def means(table: torch.Tensor, old: list[Tokenizer], new: Tokenizer) -> torch.Tensor:
    """Return the table with the mean of the rows of the old pieces for each new one, counted piece by piece."""
    rows = list(table)
    for index in range(len(table), new.vocab_size):
        text = new.pieces([index])[0]
        parts = [part for tokenizer in old for part in tokenizer.cut(text)]
        assert all(tokenizer.decode(tokenizer.cut(text)) == text.replace("\u2581", " ").strip() for tokenizer in old)
        rows.append(torch.stack([table[part] for part in parts]).mean(dim=0))
    return torch.stack(rows)


@pytest.fixture
def extended(begun: Path, call_program: Call) -> tuple[Path, Path, list[str]]:
    """The base, a run that was extended from it, and the words of its training."""
    base, folder = begun.parent / "run", write_greek(begun.parent)
    run = begun.parent / "extended"
    words = words_of(folder, base, f"run={run}", "tokenizer.extend=40")
    code, _, errors = call_program("train", *words)
    assert code == 0, errors
    return base, run, words


def test_journey_of_an_extended_run(extended: tuple[Path, Path, list[str]], call_program: Call, tmp_path: Path) -> None:
    base, run, words = extended
    old, new = load_tokenizers(base), load_tokenizers(run)
    size = old.source.vocab_size
    assert new.sizes == (size + 40, size + 40)
    assert new.source.pieces(range(size)) == old.source.pieces(range(size))
    config = read_run_config(run)
    assert config.tokenizer.extend == 40 and config.start_from == str(base)
    # The rows before the first step, and everything else as it was.
    first = model_tensors(initial_model(config.model, new, config.seed, str(base)))
    weights = read_checkpoint(RunDirectory(base).weights("final"), with_optimizer=False).weights
    assert first.keys() == weights.keys() == model_tensors(load_bundle(run).model).keys()
    for name, weight in weights.items():
        expected = means(weight, [old.target], new.target) if len(weight) == size else weight
        assert torch.equal(first[name], expected), name
    # Resumed exactly, in parts.
    parts = tmp_path / "parts"
    for steps in (3, 6):
        code, _, errors = call_program("train", *but(words, f"run={parts}", f"training.max_steps={steps}"))
        assert code == 0, errors
    one, other = (read_checkpoint(RunDirectory(each).checkpoint(6)) for each in (run, parts))
    assert one.weights.keys() == other.weights.keys() and one.optimizer.keys() == other.optimizer.keys()
    for name, tensor in one.weights.items():
        assert torch.equal(tensor, other.weights[name]), name
    for name, tensor in one.optimizer.items():
        assert torch.equal(tensor, other.optimizer[name]), name
    # It continues without extending again, also if the prepared data are gone.
    shutil.rmtree(run / "prepared")
    code, _, errors = call_program("train", *but(words, "training.max_steps=8"))
    assert code == 0 and "new pieces: " not in errors, errors
    assert load_tokenizers(run).source.digest == new.source.digest
    code, _, errors = call_program("train", *but(words, "training.max_steps=8"))
    assert code == 0 and "already ended" in errors
    code, _, errors = call_program("train", f"{run}/config.yaml", "training.max_steps=9")
    assert code == 0 and "up to date" in errors and "new pieces: " not in errors, errors
    # A base that was trained again is another one.
    shutil.copytree(base, tmp_path / "before")
    code, _, errors = call_program("train", begun_file(base), "training.max_steps=6")
    assert code == 0, errors
    code, _, errors = call_program("train", *but(words, "training.max_steps=12"))
    assert code == 1 and "was trained again since" in errors
    shutil.rmtree(base)
    shutil.copytree(tmp_path / "before", base)
    # The base extended again has two generations of new pieces.
    again = tmp_path / "again"
    code, _, errors = call_program("train", *words_of(tmp_path / "greek", run, f"run={again}", "tokenizer.extend=9"))
    assert code == 0, errors
    assert load_tokenizers(again).sizes == (size + 49, size + 49)


def begun_file(base: Path) -> Path:
    """The settings file of a base, which is next to it."""
    return base.parent / "small.yaml"


def test_an_extended_run_is_used_like_any_other(
    extended: tuple[Path, Path, list[str]], call_program: Call, tmp_path: Path
) -> None:
    base, run, _ = extended
    text = "the dog sleeps.\nα ψατ readς.\n\n".encode()
    found = []
    engines = ["native"]
    if os.name == "posix":
        pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
        engines.append("ctranslate2")
    for engine in engines:
        code, output, errors = call_program("translate", run, f"--engine={engine}", "--set=beam_size=1", input=text)
        assert code == 0, errors
        found.append(output)
    assert found[0] == found[-1] and found[0].count("\n") == 3
    folder = tmp_path / "greek"
    files = [f"--source={folder}/valid.en", f"--{{}}={folder}/valid.el"]
    for command, option in (("evaluate", "reference"), ("score", "target")):
        code, output, errors = call_program(command, run, files[0], files[1].format(option))
        assert code == 0, errors
    out = tmp_path / "ct2"
    code, _, errors = call_program("export", run, "--to=ctranslate2", f"--output={out}")
    assert code == 0, errors
    back = tmp_path / "back"
    assert call_program("import", out, f"--output={back}")[0] == 0
    for kept in (run, back):
        assert load_tokenizers(kept).source.vocab_size == load_tokenizers(base).source.vocab_size + 40
    first, second = (model_tensors(load_bundle(each).model) for each in (run, back))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    code, _, errors = call_program("export", run, "--to=huggingface", f"--output={tmp_path / 'hf'}")
    assert code == 0, errors
    # A pruned run needs no base, and continues.
    pruned = tmp_path / "pruned"
    code, _, errors = call_program("prune", run, "--heads=encoder.1.1", f"--output={pruned}")
    assert code == 0, errors
    shutil.rmtree(base)
    assert read_run_config(pruned).tokenizer.extend == 0
    code, _, errors = call_program("train", f"{pruned}/config.yaml", "training.max_steps=8")
    assert code == 0 and "up to date" in errors, errors


def test_separate_vocabularies_and_untied_rows_with_biases(
    settings_file: Path, call_program: Call, tmp_path: Path
) -> None:
    base, folder = settings_file.parent / "run", write_greek(settings_file.parent)
    apart = ["tokenizer.joint=false", "model.tie_embeddings=none", "model.output_bias=true", "tokenizer.type=unigram"]
    assert call_program("train", settings_file, *apart, "training.max_steps=2")[0] == 0
    run = tmp_path / "apart"
    code, _, errors = call_program("train", *words_of(folder, base, f"run={run}", "tokenizer.extend=3"))
    assert code == 0, errors
    old, new = load_tokenizers(base), load_tokenizers(run)
    assert [after - before for before, after in zip(old.sizes, new.sizes, strict=True)] == [0, 3] or new.sizes == (
        old.sizes[0] + 3, old.sizes[1] + 3,
    )  # fmt: skip
    config = read_run_config(run)
    first = model_tensors(initial_model(config.model, new, config.seed, str(base)))
    weights = read_checkpoint(RunDirectory(base).weights("final"), with_optimizer=False).weights
    for name, side in {"source_embedding.weight": "source", "target_embedding.weight": "target",
                       "output_weight": "target", "output_bias": "target"}.items():  # fmt: skip
        expected = means(weights.pop(name), [getattr(old, side)], getattr(new, side))
        assert torch.equal(first.pop(name), expected), name
    assert all(torch.equal(first[name], weight) for name, weight in weights.items())
    assert first.keys() == weights.keys()
    with pytest.raises(CheckpointError, match="is not that of the run in start_from with more pieces"):
        extended_weights(weights, config.model, new, old)


def test_extension_needs_a_base_and_another_run(extended: tuple[Path, Path, list[str]], call_program: Call) -> None:
    base, run, words = extended
    alone = [word for word in words if not word.startswith(("start_from", "run="))]
    code, _, errors = call_program("train", *alone, f"run={base.parent / 'none'}")
    assert code == 1 and "tokenizer.extend: found 40, but no start_from" in errors
    # A run that has weights keeps its vocabulary.
    for changed in ("tokenizer.extend=50", "tokenizer.extend=0"):
        code, _, errors = call_program("train", *but(words, changed, "training.max_steps=9"))
        assert code == 1 and "tokenizer.extend: " in errors and "began with 40" in errors
    # Data that were prepared without the new pieces are prepared again, with them.
    plain, data = base.parent / "plain", base.parent / "data"
    shared = but(words, f"run={plain}", f"data.prepared={data}")
    assert call_program("data", "prepare", *but(shared, "tokenizer.extend=0"))[0] == 0
    assert load_tokenizers(data).sizes == load_tokenizers(base).sizes
    code, _, errors = call_program("data", "prepare", *shared)
    assert code == 0 and "preparing again" in errors
    assert load_tokenizers(data).sizes == load_tokenizers(run).sizes
    code, _, errors = call_program("data", "prepare", *shared)
    assert code == 0 and "up to date" in errors


def test_a_language_is_added_to_a_multilingual_run_and_makes_one_of_another(
    begun: Path, call_program: Call, tmp_path: Path
) -> None:
    corpus, folder, base = begun.parent, write_greek(begun.parent), begun.parent / "run"

    def entries(part: str, *languages: str) -> str:
        files = {"de": f"{corpus}/{part}.{{en,de}}", "el": f"{folder}/{part}.{{en,el}}"}
        return yaml.safe_dump([{"path": files[language]} for language in languages], default_flow_style=True).strip()

    def train(run: Path, start: Path, *languages: str, extend: int = 0) -> tuple[int, str]:
        corpora = [f"data.{part}={entries(part, *languages)}" for part in ("train", "valid")]
        words = [word for word in words_of(folder, start) if not word.startswith(("data.train", "data.valid"))]
        code, _, errors = call_program(
            "train", *words, *corpora, "data.language_tags=true", f"run={run}", f"tokenizer.extend={extend}"
        )
        return code, errors

    first, second = tmp_path / "first", tmp_path / "second"
    # Without new pieces a vocabulary that lacks the tags is refused, with the way to have them.
    code, errors = train(first, base, "de")
    assert code == 1 and "has no language tag <2de>" in errors and "add it with tokenizer.extend" in errors
    code, errors = train(first, base, "de", extend=1)
    assert code == 0 and "new language tags <2de>" in errors, errors
    code, errors = train(second, first, "de", "el", extend=20)
    assert code == 0 and "new language tags <2el>" in errors, errors
    tags = load_tokenizers(second).source.tags
    assert list(tags) == ["de", "el"]
    for run, before, known in ((first, base, slice(None)), (second, first, [tags["de"]])):
        config, old, new = read_run_config(run), load_tokenizers(before), load_tokenizers(run)
        table = read_checkpoint(RunDirectory(before).weights("final"), with_optimizer=False).weights["output_weight"]
        rows = model_tensors(initial_model(config.model, new, config.seed, str(before)))["output_weight"]
        tag = new.source.tags[next(iter(new.source.tags.keys() - old.source.tags.keys()))]
        assert torch.equal(rows[tag], table[known].mean(dim=0))
    for language in ("de", "el"):
        code, output, errors = call_program("translate", second, "--to", language, input=b"the dog sleeps.\n")
        assert code == 0 and output.count("\n") == 1, errors
    assert (
        read_state(RunDirectory(second).models / "final")[0]["identity"]["vocabulary"]
        == [load_tokenizers(second).source.digest] * 2
    )
