"""Runs whose vocabulary is not ours: without `<s>`, two models, ids of their own. They train, resume and translate."""

import io
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

from translator.checkpoints import RunDirectory, load_bundle, model_tensors, read_checkpoint, write_checkpoint
from translator.checkpoints.identity import Identity
from translator.text import Tokenizer, TokenizerPair, Vocabulary, save_tokenizers
from translator.training.initial_model import initial_model
from translator.translation import Translator

Call = Callable[..., tuple[int, str, str]]
SENTENCES = b"the dog sleeps.\na cat reads the book.\n\nthe house\n"


def spm(corpus: Path, language: str, **options: Any) -> Path:
    file, writer = corpus / f"{language}.spm", io.BytesIO()
    lines = (corpus / f"train.{language}").read_text().splitlines()
    defaults = {"model_type": "bpe", "vocab_size": 90, "minloglevel": 3, "pad_id": -1, "byte_fallback": False}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=writer, **(defaults | options))
    file.write_bytes(writer.getvalue())
    return file


def check_engines(run: Path, call_program: Call) -> str:
    """Translate with both engines and score, which must agree; return the translations."""
    pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
    outputs: list[str] = []
    for words in (["beam_size=1"], ["beam_size=3", "n_best=3"], ["beam_size=1", "prefix=a"]):
        options = [f"--set={word}" for word in [*words, "min_length_factor=0.3"]]
        found = []
        # Their beam searches stop by rules of their own, which on a model as sharp as this can be told apart.
        for engine in ("native",) if "beam_size=3" in words else ("native", "ctranslate2"):
            code, output, errors = call_program(
                "translate", run, "--format=tsv", f"--engine={engine}", *options, input=SENTENCES
            )
            assert code == 0, errors
            rows = [line.split("\t") for line in output.split("\n")[:-1]]
            found.append([(*row[:2], *(f"{float(score):.2f}" for score in row[2:4]), row[4]) for row in rows])
        assert found[0] == found[-1]
        outputs.append(repr(found[0]))
    return "\n".join(outputs)


def same_weights(first: Path, second: Path, step: int = 12) -> bool:
    one, other = (read_checkpoint(RunDirectory(run).checkpoint(step)).weights for run in (first, second))
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["without start", "two models", "two models, other ends"])
def test_given_models_train_resume_and_translate(settings_file: Path, call_program: Call, kind: str) -> None:
    corpus = settings_file.parent
    source = spm(corpus, "en", bos_id=-1, eos_id=0, unk_id=1)
    words = [f"tokenizer.model={source}"]
    if kind != "without start":
        ends = {"eos_id": 3, "unk_id": 0, "bos_id": 2, "pad_id": 1} if "ends" in kind else {"bos_id": -1, "eos_id": 0,
                                                                                           "unk_id": 1}  # fmt: skip
        target = spm(corpus, "de", vocab_size=80, **ends)
        words = [f"tokenizer.model=[{source}, {target}]", "model.tie_embeddings=decoder"]
    whole, parts = corpus / "whole", corpus / "parts"
    assert call_program("train", settings_file, f"run={whole}", *words)[0] == 0
    for steps in (5, 12):
        code, _, errors = call_program("train", settings_file, f"run={parts}", *words, f"training.max_steps={steps}")
        assert code == 0, errors
    assert same_weights(whole, parts)
    bundle = load_bundle(whole)
    assert bundle.model.target_embedding.zero_start == ("ends" not in kind)
    check_engines(whole, call_program)
    page = corpus / "page.html"
    assert call_program("attention", whole, "the dog sleeps.", "--target=ein Hund", "--output", page)[0] == 0
    files = [f"--{side}={corpus}/valid.{language}" for side, language in (("source", "en"), ("target", "de"))]
    assert call_program("score", whole, *files)[0] == 0
    # Another model than the run was begun with is refused.
    spm(corpus, "en", bos_id=-1, eos_id=0, unk_id=1, vocab_size=85)
    code, _, errors = call_program("train", settings_file, f"run={whole}", *words, "training.max_steps=13")
    assert code and "is not the vocabulary" in errors


def test_two_models_cannot_share_one_matrix(settings_file: Path, call_program: Call) -> None:
    corpus = settings_file.parent
    files = [spm(corpus, "en"), spm(corpus, "de")]
    code, _, errors = call_program("train", settings_file, f"tokenizer.model=[{files[0]}, {files[1]}]")
    assert code == 1 and "same pieces with the same ids" in errors
    assert not (corpus / "run" / "prepared").exists()


def renumbered(run: Path, to: Path, *, zero_start: bool = False) -> Path:
    """The same model under a vocabulary in another order, written as an import would write it.

    With `zero_start`, the embedding of the start token is zero in `run`, and the new one does not look at it.
    """
    bundle = load_bundle(run)
    tokenizer = bundle.tokenizers.source
    order = list(range(tokenizer.vocab_size))
    random.Random(5).shuffle(order)
    vocabulary = Vocabulary(tuple(tokenizer.pieces(order)), None if zero_start else "<s>")
    mapped = Tokenizer(tokenizer.model, vocabulary=vocabulary)
    pair = TokenizerPair(mapped, mapped, True)
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("checkpoints", "models", "prepared", "exports", "*.jsonl"))
    save_tokenizers(pair, to)
    size = tokenizer.vocab_size
    weights = {
        name: tensor[order].clone() if len(tensor) == size else tensor.clone()
        for name, tensor in model_tensors(bundle.model).items()
    }
    saved = read_checkpoint(RunDirectory(run).models / "final", with_optimizer=False)
    state = {**saved.state, **Identity.of(bundle.config, pair).as_state()}
    (to / "models").mkdir()
    write_checkpoint(to / "models" / "final", replace(saved, weights=weights, state=state))
    return to


def test_renumbered_vocabulary_changes_nothing_and_trains_on(
    settings_file: Path, call_program: Call, tmp_path: Path
) -> None:
    assert call_program("train", settings_file)[0] == 0
    run = settings_file.parent / "run"
    mapped = renumbered(run, tmp_path / "mapped")
    assert (mapped / "tokenizer.vocabulary.json").is_file()
    assert check_engines(run, call_program) == check_engines(mapped, call_program)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    corpus = settings_file.parent
    words = [f"data.train={corpus}/train.{{en,de}}", f"data.valid={corpus}/valid.{{en,de}}", f"start_from={mapped}",
             "data.max_length=60", "training.batch_tokens=200", "training.subword_sampling=0.1"]  # fmt: skip
    code, _, errors = call_program("train", f"run={whole}", *words, "training.max_steps=6")
    assert code == 0, errors
    for steps in (3, 6):
        code, _, errors = call_program("train", f"run={parts}", *words, f"training.max_steps={steps}")
        assert code == 0, errors
    assert same_weights(whole, parts, 6)
    assert (whole / "tokenizer.vocabulary.json").read_bytes() == (mapped / "tokenizer.vocabulary.json").read_bytes()
    # Without the file, the ids mean other pieces: refused.
    (whole / "tokenizer.vocabulary.json").unlink()
    code, _, errors = call_program("translate", whole, input=SENTENCES)
    assert code == 1 and "another vocabulary" in errors


def test_renumbered_vocabulary_is_extended(settings_file: Path, call_program: Call, tmp_path: Path) -> None:
    assert call_program("train", settings_file, "training.max_steps=2")[0] == 0
    corpus = settings_file.parent
    mapped = renumbered(corpus / "run", tmp_path / "mapped", zero_start=True)
    for part in ("train", "valid"):
        lines = (corpus / f"{part}.de").read_text()
        (corpus / f"{part}.el").write_text(lines.translate({0x61 + index: 0x3B1 + index for index in range(26)}))
    words = [f"data.train={corpus}/train.{{en,el}}", f"data.valid={corpus}/valid.{{en,el}}", f"start_from={mapped}",
             "data.max_length=60", "training.batch_tokens=200", "tokenizer.extend=30"]  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for run, steps in ((whole, 6), (parts, 3), (parts, 6)):
        code, _, errors = call_program("train", f"run={run}", *words, f"training.max_steps={steps}")
        assert code == 0, errors
    assert same_weights(whole, parts, 6)
    before, after = load_bundle(mapped), load_bundle(whole)
    old, new = before.tokenizers.source, after.tokenizers.source
    size = old.vocab_size
    assert after.model.target_embedding.zero_start and new.vocab_size == size + 30
    assert new.pieces(range(size)) == old.pieces(range(size))
    first = initial_model(after.config.model, after.tokenizers, 1, str(mapped))
    rows = torch.stack([
        before.model.output_weight[old.cut(piece)].mean(dim=0) for piece in new.pieces(range(size, size + 30))
    ])  # fmt: skip
    assert torch.equal(first.output_weight, torch.cat([before.model.output_weight, rows]))
    check_engines(whole, call_program)


def test_start_of_zeros_is_what_a_zero_embedding_of_the_start_token_is(
    settings_file: Path, call_program: Call, tmp_path: Path
) -> None:
    assert call_program("train", settings_file)[0] == 0
    run = settings_file.parent / "run"
    final = RunDirectory(run).models / "final"
    saved, tokenizer = read_checkpoint(final, with_optimizer=False), load_bundle(run).tokenizers.target
    for tensor in saved.weights.values():
        if len(tensor) == tokenizer.vocab_size:
            tensor[tokenizer.bos_id] = 0.0
    shutil.rmtree(final)
    write_checkpoint(final, saved)
    without = renumbered(run, tmp_path / "without", zero_start=True)
    assert load_bundle(without).model.target_embedding.zero_start
    assert check_engines(run, call_program) == check_engines(without, call_program)
    lines = ["the dog sleeps.", "a cat reads."]
    for beam in (1, 4):
        expected, found = (
            list(Translator.load(place, engine="native").translate(lines, beam_size=beam)) for place in (run, without)
        )
        assert expected == found
