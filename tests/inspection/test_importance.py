"""Masking a head equals removing it, and leaves the model unchanged."""

from pathlib import Path

import pytest
import torch

from translator.attention import pack
from translator.checkpoints import Bundle, load_bundle, model_tensors
from translator.config import Head
from translator.decoding.scoring import score_pairs
from translator.errors import ConfigError, DataError
from translator.inference.steps import TransformerStepModel
from translator.inspection.importance import loss_of, measure_importance, model_heads, without_heads
from translator.inspection.pairs import encode_pairs

SOURCES = ["a dog sleeps.", "the red house", "a cat, a man.", ""]
TARGETS = ["the dog reads.", "on", "a man runs, a cat.", "alone"]


@pytest.fixture
def bundle(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run, device="cpu")


def test_the_loss_is_that_of_scoring(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES[:3], TARGETS[:3])
    scored = score_pairs([TransformerStepModel.of(bundle)], *zip(*pairs, strict=True))
    targets = [each for each in scored if each is not None]
    tokens = sum(len(each.log_probabilities) for each in targets)
    assert loss_of(bundle, pairs) == pytest.approx(-sum(each.log_probability for each in targets) / tokens, abs=1e-6)


def test_pairs_without_text_on_both_sides_do_not_count(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES, TARGETS)
    assert loss_of(bundle, pairs) == pytest.approx(loss_of(bundle, pairs[:3]), abs=1e-9)
    with pytest.raises(DataError, match="no sentence pair"):
        loss_of(bundle, pairs[3:])


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_a_masked_head_adds_nothing_to_its_module(bundle: Bundle, kind: str) -> None:
    module = bundle.model.attentions(kind)[0]
    batch = pack([[5, 6, 7], [8, 9]])
    states = torch.randn(5, 16, generator=torch.manual_seed(1))
    query, key, value = module.project_all(states)
    caught = []
    module.output.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    module.attend_to_itself(states, batch.layout)
    columns = caught[0].clone()
    columns[:, module.head_dim :] = 0.0  # the second of two heads
    expected = torch.nn.functional.linear(columns, module.output.weight, module.output.bias)
    with without_heads(bundle.model, [Head(kind, 1, 2)]):
        found = module.attend_to_itself(states, batch.layout)
    torch.testing.assert_close(found, expected)


def test_every_head_is_measured_with_only_it_masked(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES, TARGETS)
    passes: list[int] = []
    found = measure_importance(bundle, pairs, on_progress=passes.append)
    heads = model_heads(bundle.model)
    assert list(found.increase) == heads and sum(passes) == len(heads) + 1
    for head in heads:
        with without_heads(bundle.model, [head]):
            assert found.loss + found.increase[head] == pytest.approx(loss_of(bundle, pairs), abs=1e-6)


def test_heads_can_be_masked_throughout(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES, TARGETS)
    off = [Head("encoder", 1, 1), Head("cross", 1, 2)]
    found = measure_importance(bundle, pairs, masked=off)
    assert not set(off) & set(found.increase) and len(found.increase) == 4
    assert found.loss == pytest.approx(loss_of(bundle, pairs, off))
    assert found.loss != pytest.approx(loss_of(bundle, pairs), abs=1e-6)
    head = Head("decoder", 1, 1)
    assert found.loss + found.increase[head] == pytest.approx(loss_of(bundle, pairs, [*off, head]), abs=1e-6)


def test_the_weights_come_back_bit_for_bit_also_after_an_error(bundle: Bundle) -> None:
    before = {name: tensor.clone() for name, tensor in model_tensors(bundle.model).items()}
    heads = [*model_heads(bundle.model), Head("cross", 1, 1)]
    with pytest.raises(KeyError), without_heads(bundle.model, heads):
        assert not bundle.model.attentions("cross")[0].output.weight.any()
        raise KeyError
    for name, tensor in model_tensors(bundle.model).items():
        assert torch.equal(tensor, before[name]), name


def test_unknown_heads_are_named(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"cross\.1\.3"), without_heads(bundle.model, [Head("cross", 1, 3)]):
        pass
