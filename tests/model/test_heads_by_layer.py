"""Layers may have different numbers of heads: the function is that of heads whose columns of W^O are zero."""

from typing import Any

import pytest
import torch
from torch import Tensor

from translator.attention import pack
from translator.config import KINDS, ModelSettings
from translator.errors import ConfigError
from translator.inference import InferenceModel
from translator.model import Transformer, build_model

SOURCES, TARGETS = [[5, 6, 7, 1], [8, 1], [9, 10, 11, 12, 13, 1]], [[0, 5, 6], [0, 7, 8, 9], [0, 3]]
# The first and the last decoder layer share a tensor: the larger one for the past, the smaller one for the memory.
HEADS = {"encoder_heads": [3, 1], "decoder_heads": [3, 2, 3], "cross_heads": [1, 3, 1]}


def model_of(**changes: Any) -> Transformer:
    shape = {"encoder_layers": 2, "decoder_layers": 3, "d_model": 16, "d_ff": 24, "num_heads": 3, "head_dim": 4}
    return build_model(ModelSettings(**(shape | {"dropout": 0.0} | changes)), 30, 30, seed=1)


def as_full(model: Transformer) -> Transformer:
    """A model with 3 heads everywhere that computes the same: the heads that are missing look, and add nothing."""
    full = model_of()
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in full.named_parameters():
            if parameter.shape == weights[name].shape:
                parameter.copy_(weights[name])
        for kind in KINDS:
            for own, whole in zip(model.attentions(kind), full.attentions(kind), strict=True):
                width = own.num_heads * own.head_dim
                for block in range(3):
                    rows = slice(
                        block * whole.num_heads * whole.head_dim, block * whole.num_heads * whole.head_dim + width
                    )
                    whole.input_weight[rows] = own.input_weight[block * width : (block + 1) * width]
                    whole.input_bias[rows] = own.input_bias[block * width : (block + 1) * width]
                whole.output.weight.zero_()
                whole.output.weight[:, :width] = own.output.weight
                whole.output.bias.copy_(own.output.bias)
    return full


def logits(model: Transformer) -> Tensor:
    return model.logits(model(pack(SOURCES), pack(TARGETS)))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_missing_heads_are_heads_that_add_nothing(norm: str) -> None:
    model = model_of(**HEADS)
    assert [[module.num_heads for module in model.attentions(kind)] for kind in KINDS] == list(HEADS.values())
    torch.testing.assert_close(logits(model), logits(as_full(model)))
    logits(model).logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@torch.inference_mode()
@pytest.mark.parametrize("copies", [1, 4])
def test_step_by_step_equals_teacher_forced(copies: int) -> None:
    model = model_of(**HEADS).eval()
    source, target = pack(SOURCES * copies), pack([[0, 5, 6, 7, 8, 9, 10]] * 3 * copies)
    memory = model.encode(source)
    torch.testing.assert_close(InferenceModel(model).encode(source), memory)
    expected = model.decode(target, memory, source.layout).view(3 * copies, 7, -1)
    inference = InferenceModel(model)
    state = inference.start(memory, source.layout, 2, 7)
    kept = torch.arange(3 * copies)
    for position in range(7):
        found = inference.step(target.tokens.view(3 * copies, 7)[kept, position, None], state)
        torch.testing.assert_close(found[:, 0], expected[kept, position])
        if position == 3:
            # The last sentence moves into the row of the first.
            kept = torch.tensor([3 * copies - 1, *range(1, 3 * copies - 1)])
            state = state.select(kept, torch.zeros(len(kept), 1, dtype=torch.int64))


def test_wrong_lists_are_explained_together() -> None:
    from translator.config import Config, resolve_preset

    model = {"encoder_heads": [4], "cross_heads": [1, 2, 3, 4, 5], "decoder_heads": [4, 3, 2, 1]}
    with pytest.raises(ConfigError) as caught:
        resolve_preset(Config.model_validate({"preset": "tiny", "model": model}))
    assert caught.value.problems == [
        "model.encoder_heads: found 1 number, expected 4, one for each encoder layer",
        "model.cross_heads: found 5 numbers, expected 4, one for each decoder layer",
    ]
