"""What a directory for `transformers` contains, what is refused, and what is replaced; the library is not needed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from translator.checkpoints import Bundle
from translator.errors import CheckpointError, ConfigError, OutputError, TokenizerError
from translator.interop.card import Score, scores_of
from translator.interop.huggingface import export_huggingface
from translator.text import Tokenizer, TokenizerPair

Make = Callable[..., Bundle]
FILES = {
    "README.md", "config.json", "generation_config.json", "model.safetensors", "sha256.json", "source.spm",
    "target.spm", "tokenizer_config.json", "vocab.json",
}  # fmt: skip


def read(path: Path, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((path / f"{name}.json").read_text())
    return value


def test_the_files(bundle: Bundle, tmp_path: Path) -> None:
    path = export_huggingface(bundle, tmp_path / "model")
    assert {file.name for file in path.iterdir()} == FILES
    source = bundle.tokenizers.source
    assert (path / "source.spm").read_bytes() == (path / "target.spm").read_bytes() == source.model
    pieces = source.pieces(range(source.vocab_size))
    assert read(path, "vocab") == {piece: index for index, piece in enumerate(pieces)}
    assert read(path, "sha256").keys() == FILES - {"sha256.json"}


def test_two_vocabularies(bundle: Bundle, with_model: Make, with_two_vocabularies: Make, tmp_path: Path) -> None:
    bundle = with_model(with_two_vocabularies(bundle), tie_embeddings="decoder")
    path = export_huggingface(bundle, tmp_path / "model")
    source, target = bundle.tokenizers.source, bundle.tokenizers.target
    config = read(path, "config")
    assert (config["vocab_size"], config["decoder_vocab_size"]) == (source.vocab_size, target.vocab_size)
    assert len(read(path, "vocab")) == source.vocab_size
    assert len(read(path, "target_vocab")) == target.vocab_size
    assert read(path, "tokenizer_config")["separate_vocabs"] is True


def test_dimensions_of_the_sinusoids_are_put_in_the_order_of_the_library(
    bundle: Bundle, with_model: Make, tmp_path: Path
) -> None:
    bundle = with_model(bundle)
    tensors = load_file(export_huggingface(bundle, tmp_path / "model") / "model.safetensors")
    layer = bundle.model.encoder_layers[0]
    order = [*range(0, 16, 2), *range(1, 16, 2)]
    name = "model.encoder.layers.0."
    assert torch.equal(tensors["model.shared.weight"], bundle.model.output_weight[:, order])
    query, key, value = layer.self_attention.input_weight.chunk(3)
    for projection, weight in (("q", query), ("k", key), ("v", value)):
        assert torch.equal(tensors[f"{name}self_attn.{projection}_proj.weight"], weight[:, order])
    assert torch.equal(tensors[f"{name}self_attn.out_proj.weight"], layer.self_attention.output.weight[order])
    assert torch.equal(tensors[f"{name}fc1.weight"], layer.feed_forward.inner.weight[:, order])
    assert torch.equal(tensors[f"{name}fc2.bias"], layer.feed_forward.outer.bias[order])
    assert torch.equal(tensors[f"{name}final_layer_norm.weight"], layer.feed_forward_residual.norm.weight[order])


def test_heads_that_a_layer_lacks_are_zeros(bundle: Bundle, with_model: Make, tmp_path: Path) -> None:
    bundle = with_model(bundle, norm="pre", positions="learned", encoder_heads=[1])
    tensors = load_file(export_huggingface(bundle, tmp_path / "model") / "model.safetensors")
    name, attention = "model.encoder.layers.0.self_attn.", bundle.model.encoder_layers[0].self_attention
    assert torch.equal(tensors[f"{name}v_proj.weight"][:8], attention.input_weight[16:])
    for projection in ("q", "k", "v"):
        assert not tensors[f"{name}{projection}_proj.weight"][8:].any()
        assert not tensors[f"{name}{projection}_proj.bias"][8:].any()
    assert torch.equal(tensors[f"{name}out_proj.weight"][:, :8], attention.output.weight)
    assert not tensors[f"{name}out_proj.weight"][:, 8:].any()


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ({"positions": "learned"}, "model.positions: found learned with norm=post; transformers' Marian model loses"),
        ({"decoder_cell": "ssru"}, "model.decoder_cell: found ssru, expected attention"),
        ({"norm_epsilon": 1e-9}, "model.norm_epsilon: found 1e-09, expected 1e-05"),
        ({"positions": "marian"}, "model.positions: found marian"),
        ({"head_dim": 5}, "model.head_dim: found 5, which does not divide d_model=16"),
        ({"head_dim": 16}, "found up to 2 heads of width 16, wider together than d_model=16"),
        ({"cross_heads": [3]}, "found up to 3 heads of width 8, wider together"),
    ],
    ids=str,
)
def test_shapes_that_the_library_lacks_are_refused(
    bundle: Bundle, with_model: Make, tmp_path: Path, shape: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"{problem}.*use --to ctranslate2 instead"):
        export_huggingface(with_model(bundle, **shape), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_search_of_the_run(bundle: Bundle, with_tags: Make, with_model: Make, tmp_path: Path) -> None:
    def generation(**decoding: Any) -> dict[str, Any]:
        settings = bundle.config.decoding.model_copy(update=decoding)
        config = bundle.config.model_copy(update={"decoding": settings})
        return read(export_huggingface(dataclasses.replace(bundle, config=config), tmp_path / "m"), "generation_config")

    found = generation(beam_size=4, length_alpha=0.8)
    assert (found["num_beams"], found["length_penalty"], found["max_length"]) == (4, pytest.approx(0.6), 64)
    assert found["pad_token_id"] == found["decoder_start_token_id"] == bundle.tokenizers.target.bos_id
    assert found["forced_eos_token_id"] is None
    assert generation(length_penalty="mean", length_alpha=0.8)["length_penalty"] == 0.8
    assert "length_penalty" not in generation(beam_size=1)
    found = generation(search="sampling", top_k=5, temperature=0.5)
    assert (found["do_sample"], found["num_beams"], found["top_k"], found["temperature"]) == (True, 1, 5, 0.5)
    found = generation(block_ngrams=3, min_length_extra=2)
    assert (found["no_repeat_ngram_size"], found["min_length"]) == (3, 3)
    assert found["suppress_tokens"] == [bundle.tokenizers.target.bos_id]
    bundle = with_model(with_tags(bundle))
    tags = sorted(bundle.tokenizers.target.tags.values())
    assert generation()["suppress_tokens"] == [bundle.tokenizers.target.bos_id, *tags]


def test_the_card(bundle: Bundle, with_tags: Make, with_model: Make, tmp_path: Path) -> None:
    data = bundle.config.data.model_copy(update={"train": "/home/me/corpus/train.{en,de}"})
    bundle = dataclasses.replace(bundle, config=bundle.config.model_copy(update={"data": data}))
    card = (
        export_huggingface(bundle, tmp_path / "m", [Score("a|b", 1000, "BLEU", 31.256, "x|y")]) / "README.md"
    ).read_text()
    assert card.startswith('---\nlibrary_name: transformers\npipeline_tag: translation\nlanguage:\n- "en"\n- "de"\n')
    assert "* Trained on: `train.{en,de}`." in card
    assert "| a\\|b | 1,000 | BLEU | 31.26 | `x\\|y` |" in card
    assert "Do not use CTranslate2's own converter" in card and "--to ctranslate2" in card
    assert ">>de<<" not in card
    card = (export_huggingface(with_model(with_tags(bundle)), tmp_path / "m") / "README.md").read_text()
    assert 'tokenizer([">>de<< A line of text."]' in card and "`>>de<<`, `>>nl<<`" in card
    assert "Not evaluated yet" in card


def test_scores_are_the_newest_of_these_weights_alone() -> None:
    def entry(value: float, weights: str = "final", **more: Any) -> dict[str, Any]:
        score = {"name": "BLEU", "value": value, "signature": "s"}
        return {"test_set": "t", "sentences": 2, "weights": weights, "scores": [score], **more}

    entries = [entry(1.0), entry(2.0), entry(3.0, "best"), entry(4.0, together_with=["other"]), {"test_set": "t"}]
    assert scores_of(entries, "final") == [Score("t", 2, "BLEU", 2.0, "s")]


def test_only_an_earlier_export_is_replaced(bundle: Bundle, with_model: Make, tmp_path: Path) -> None:
    path = export_huggingface(with_model(bundle, norm="pre"), tmp_path / "model")
    export_huggingface(bundle, path)
    assert read(path, "config")["model_type"] == "marian"
    before = (path / "model.safetensors").read_bytes()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds what we did not write \(notes.txt\)"):
        export_huggingface(bundle, path)
    assert (path / "model.safetensors").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_foreign_model_is_not_replaced(bundle: Bundle, tmp_path: Path) -> None:
    for name in FILES - {"sha256.json"}:
        (tmp_path / name).write_text("{}")
    with pytest.raises(OutputError, match="holds what we did not write"):
        export_huggingface(bundle, tmp_path)


def test_a_path_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write .*model: Not a directory; choose another directory"):
        export_huggingface(bundle, tmp_path / "file" / "model")


def test_pieces_and_special_tokens_that_cannot_be_told_apart(bundle: Bundle, tmp_path: Path) -> None:
    class Alike(Tokenizer):
        def pieces(self, ids: Any) -> list[str]:
            return ["a" if piece == "b" else piece for piece in super().pieces(ids)]

    class Other(Tokenizer):
        def pieces(self, ids: Any) -> list[str]:
            return [f"x{piece}" for piece in super().pieces(ids)]

    for kind, problem in (
        (Alike, "two pieces of the source tokenizer are written 'a'"),
        (Other, "have other ids or names in"),
    ):
        pair = TokenizerPair(kind(bundle.tokenizers.source.model), bundle.tokenizers.target, False)
        with pytest.raises(TokenizerError, match=problem):
            export_huggingface(dataclasses.replace(bundle, tokenizers=pair), tmp_path / "model")
    assert not list(tmp_path.iterdir())
