"""`transformers` computes with an exported run what we compute: pieces, logits and translations."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translator.attention import pack
from translator.checkpoints import Bundle
from translator.decoding.engine import NativeEngine
from translator.decoding.hypothesis import Request
from translator.inference import TransformerStepModel
from translator.interop.huggingface import export_huggingface
from translator.text import Tokenizer, TokenizerPair, Vocabulary

pytestmark = pytest.mark.slow  # Loading the library alone takes seconds.
transformers = pytest.importorskip("transformers", reason="the extra bench is not installed")

Make = Callable[..., Bundle]
TEXTS = [
    "a dog", "the red house.", "  spaces   at  both ends ", "\ttab\u00a0and\u3000wide",
    "emoji \U0001f469\u200d\U0001f680 \u2764\ufe0f", "</s> <s> <unk> <pad> <0x41> <2de> <mask>", "a>>de<< b",
    "x >> y << z", "\u2581 \u2581\u2581a", "e\u0301 \ufb01 \u2460", "\U00010348 \ue000 \u202e", "a_b __c__",
    "1,234.50 % \u20ac", "it's n't ' .", "\u0928\u092e\u0938\u094d\u0924\u0947 \u4f60\u597d \u0645\u0631\u062d",
]  # fmt: skip
LINES = ["a dog sleeps", "the house", "one big garden in the street"]
PRUNED = {
    "encoder_layers": 2, "decoder_layers": 2, "encoder_heads": [1, 2], "decoder_heads": [2, 1], "cross_heads": [1, 1],
}  # fmt: skip


def load(path: Path) -> tuple[Any, Any]:
    """The tokenizer and the model, as a user loads them."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    return transformers.AutoTokenizer.from_pretrained(path), model


def pairs_of(bundle: Bundle) -> list[tuple[list[int], list[int]]]:
    source, target = bundle.tokenizers.source, bundle.tokenizers.target
    generator = torch.Generator().manual_seed(3)

    def draw(vocabulary: int, length: int) -> list[int]:
        return torch.randint(3, vocabulary, (length,), generator=generator).tolist()

    return [(draw(source.vocab_size, long), draw(target.vocab_size, short)) for long, short in ((1, 6), (9, 1), (7, 8))]


@torch.inference_mode()
def assert_same_logits(bundle: Bundle, model: Any, never: int | None = None) -> None:
    """Compare all logits but those of `never`, a piece of the library's alone."""
    target = bundle.tokenizers.target
    pairs = pairs_of(bundle)
    # One batch with padding on both sides.
    sources = [torch.tensor([*source, target.eos_id]) for source, _ in pairs]
    inputs = [torch.tensor([model.config.decoder_start_token_id, *pieces]) for _, pieces in pairs]
    pad = torch.nn.utils.rnn.pad_sequence
    found = model(
        input_ids=pad(sources, batch_first=True, padding_value=model.config.pad_token_id),
        attention_mask=pad([torch.ones_like(source) for source in sources], batch_first=True),
        decoder_input_ids=pad(inputs, batch_first=True, padding_value=model.config.pad_token_id),
    ).logits
    for row, source, target_input in zip(found, sources, inputs, strict=True):
        states = bundle.model(pack([source.tolist()]), pack([[target.bos_id, *target_input.tolist()[1:]]]))
        expected = bundle.model.logits(states)
        if never is not None:
            assert (row[:, never] < -1000).all()
            expected[:, never : never + 1] = row[: len(target_input), never : never + 1]
        torch.testing.assert_close(row[: len(target_input), : target.vocab_size], expected, atol=2e-4, rtol=1e-4)
        assert (row[: len(target_input), target.vocab_size :] < -1000).all()


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"activation": "gelu"},
        {"activation": "swish", "output_bias": True},
        {"tie_embeddings": "decoder"},
        {"tie_embeddings": "none"},
        {"encoder_layers": 3, "decoder_layers": 1},
        {"d_model": 24, "num_heads": 2, "head_dim": 6},
        {"num_heads": 1, "head_dim": 8},
        PRUNED,
        {"norm": "pre"},
        {"norm": "pre", "positions": "learned"},
        {"norm": "pre", "activation": "gelu", "tie_embeddings": "decoder", **PRUNED},
        {"norm": "pre", "tie_embeddings": "none", "positions": "learned", "decoder_layers": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("vocabularies", ["one", "two"])
def test_logits(
    bundle: Bundle,
    with_model: Make,
    with_two_vocabularies: Make,
    tmp_path: Path,
    shape: dict[str, Any],
    vocabularies: str,
) -> None:
    if vocabularies == "two":
        if shape.get("tie_embeddings", "all") == "all":
            shape = {**shape, "tie_embeddings": "decoder"}
        bundle = with_two_vocabularies(bundle)
    bundle = with_model(bundle, **shape)
    path = export_huggingface(bundle, tmp_path / "model")
    _, model = load(path)
    name = "PegasusForConditionalGeneration" if shape.get("norm") == "pre" else "MarianMTModel"
    assert type(model).__name__ == name
    assert_same_logits(bundle, model)
    # What the library saves again is still the same model.
    model.save_pretrained(tmp_path / "again")
    assert_same_logits(bundle, transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "again").eval())


@pytest.mark.parametrize("vocabularies", ["one", "two"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_greedy_translations(
    bundle: Bundle,
    with_model: Make,
    with_two_vocabularies: Make,
    tmp_path: Path,
    norm: str,
    vocabularies: str,
) -> None:
    if vocabularies == "two":
        bundle = with_two_vocabularies(bundle)
    bundle = with_model(bundle, norm=norm, tie_embeddings="none")
    source, target = bundle.tokenizers.source, bundle.tokenizers.target
    last = bundle.model.decoder_norm if norm == "pre" else bundle.model.decoder_layers[-1].feed_forward_residual.norm
    with torch.no_grad():
        # As in a trained model, translations end, and the start token is in none.
        last.bias.fill_(1.0)
        bundle.model.output_weight[target.bos_id] = -1.0
        bundle.model.output_weight[target.eos_id] = 0.3
    decoding = bundle.config.decoding.model_copy(
        # As the library, which has one limit for all sentences. A random model repeats itself without end.
        update={"beam_size": 1, "max_length_factor": 0.0, "max_length_extra": 12}
    )
    bundle = dataclasses.replace(bundle, config=bundle.config.model_copy(update={"decoding": decoding}))
    tokenizer, model = load(export_huggingface(bundle, tmp_path / "model"))
    generated = model.generate(**tokenizer(LINES, return_tensors="pt", padding=True), max_length=13)
    requests = [Request(tuple(pieces)) for pieces in source.encode(LINES)]
    found = NativeEngine(TransformerStepModel.of(bundle)).search(requests, decoding, with_scores=False)
    for row, (best, *_) in zip(generated.tolist(), found, strict=True):
        expected = [target.bos_id, *best.tokens, target.eos_id][:13]
        assert row == expected + [target.bos_id] * (len(row) - len(expected))


@pytest.mark.parametrize("vocabularies", ["one", "two"])
def test_pieces_of_any_text(
    bundle: Bundle, with_model: Make, with_two_vocabularies: Make, tmp_path: Path, vocabularies: str
) -> None:
    if vocabularies == "two":
        bundle = with_model(with_two_vocabularies(bundle), tie_embeddings="decoder")
    tokenizer, _ = load(export_huggingface(bundle, tmp_path / "model"))
    source, target = bundle.tokenizers.source, bundle.tokenizers.target

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(st.text(max_size=30) | st.sampled_from(TEXTS))
    def check(text: str) -> None:
        if text.startswith(">>") and "<<" in text:
            text = f" {text}"  # As the model card says.
        text = text.encode(errors="replace").decode()
        assert tokenizer(text).input_ids == [*source.encode([text])[0], target.eos_id]
        pieces = target.encode([text])[0]
        assert tokenizer(text_target=text).input_ids == [*pieces, target.eos_id]
        decoded = tokenizer.decode([*pieces, target.eos_id], skip_special_tokens=True)
        # A line of ours never has a line feed in it.
        assert decoded.replace("\n", " ").strip() == target.decode(pieces).strip()

    check()


def test_language_tags(bundle: Bundle, with_model: Make, with_tags: Make, tmp_path: Path) -> None:
    bundle = with_model(with_tags(bundle))
    tokenizer, model = load(export_huggingface(bundle, tmp_path / "model"))
    source = bundle.tokenizers.source
    assert set(source.tags) == {"de", "nl"}
    for language, tag in source.tags.items():
        expected = [tag, *source.encode(["a dog"])[0], source.eos_id]
        assert tokenizer(f">>{language}<< a dog").input_ids == expected
    assert_same_logits(bundle, model)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("pad", [None, "<pad>"])
@pytest.mark.parametrize("sides", ["one model", "two models"])
def test_a_vocabulary_from_elsewhere(
    bundle: Bundle, with_model: Make, tmp_path: Path, norm: str, pad: str | None, sides: str
) -> None:
    """Ids of its own and no start token: the decoder begins with the zero vector of Marian's `<pad>`."""
    tokenizer = bundle.tokenizers.source
    pieces = [piece for piece in tokenizer.pieces(range(tokenizer.vocab_size)) if piece != "<s>"]
    vocabulary = Vocabulary((*reversed(pieces), ">>de<<", *([pad] if pad else [])))
    sides_of = [Tokenizer(tokenizer.model, "spm", vocabulary) for _ in range(1 if sides == "one model" else 2)]
    pair = TokenizerPair(sides_of[0], sides_of[-1], sides == "one model")
    bundle = with_model(dataclasses.replace(bundle, tokenizers=pair), norm=norm)
    theirs, model = load(export_huggingface(bundle, tmp_path / "model"))
    assert_same_logits(bundle, model, model.config.pad_token_id)
    assert theirs.pad_token == "<pad>" and theirs.pad_token_id == model.config.decoder_start_token_id
    for text in TEXTS:
        assert theirs(text).input_ids == [*pair.source.encode([text])[0], pair.target.eos_id]
    tag = pair.source.tags["de"]
    assert theirs(">>de<< a dog").input_ids == [tag, *pair.source.encode(["a dog"])[0], pair.target.eos_id]
