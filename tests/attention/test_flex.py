"""FlexAttention over blocks of sentences against the padded kernel, which is tested by the formula."""

import pytest
import torch
from torch.nn.attention import flex_attention as flex_module

from translator.attention import Layout, attend, pack
from translator.attention import flex as module
from translator.attention.flex import sentence_blocks
from translator.config import ModelSettings
from translator.model import build_model

# Sentences that share a block, reach over several, end at its edge, and are empty, also at the end.
QUERIES = [5, 0, 123, 40, 300, 1, 2, 90, 0]
KEYS = [3, 0, 200, 4, 100, 50, 1, 26, 0]


def layout_of(lengths: list[int]) -> Layout:
    return Layout(torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0).int(), max(lengths))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_flex_equals_the_padded_kernel(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On the CPU PyTorch refuses the gradient, which it can compute by the formula.
    monkeypatch.setattr(flex_module, "_validate_device", lambda *_: None)
    torch.manual_seed(1)
    rows = columns = layout_of(QUERIES)
    if use == "cross":
        columns = layout_of(KEYS)
    query = torch.randn(int(rows.offsets[-1]), 2, 16, requires_grad=True)
    key, value = (torch.randn(int(columns.offsets[-1]), 2, 16, requires_grad=True) for _ in range(2))
    found, expected = (
        attend(query, key, value, rows, columns, causal=use == "causal", wanted=wanted) for wanted in ("flex", "auto")
    )
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    gradients = (torch.autograd.grad(each, (query, key, value), upstream) for each in (found, expected))
    for mine, wanted_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, wanted_gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("keys", "causal"), [(QUERIES, False), (QUERIES, True), (KEYS, False)])
def test_blocks_are_those_that_a_look_at_the_whole_mask_finds(keys: list[int], causal: bool) -> None:
    rows, columns = layout_of(QUERIES), layout_of(keys)
    found = sentence_blocks(rows, columns, sum(QUERIES), sum(keys), causal)
    whole = flex_module.create_block_mask(found.mask_mod, None, None, sum(QUERIES), sum(keys), device="cpu")
    assert torch.equal(found.to_dense(), whole.to_dense())
    # Of five times five blocks, most hold no pair.
    assert found.to_dense().shape[-2:] == (5, -(-sum(keys) // 128)) and found.to_dense().float().mean() < 0.8


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_a_forward_pass_makes_three_masks_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ModelSettings(encoder_layers=3, decoder_layers=3, d_model=16, d_ff=16, num_heads=2, dropout=0.0)
    model = build_model(shape, 40, 40, seed=1).eval()
    source, target = pack([[5, 6, 7, 2], [8, 2]]), pack([[1, 9], [1, 10, 11, 12]])
    with torch.no_grad():
        expected = model(source, target)
    made, real = [], module.sentence_blocks
    monkeypatch.setattr(module, "sentence_blocks", lambda *arguments: made.append(arguments) or real(*arguments))
    model.use_attention_kernel("flex")
    with torch.no_grad():
        torch.testing.assert_close(model(source, target), expected)
        assert len(made) == 3
        # Other sources with the same targets are not those of the mask that was kept.
        model.decode(target, model.encode(pack([[5, 2], [8, 8, 2]])), pack([[5, 2], [8, 8, 2]]).layout)
    assert len(made) == 5


@pytest.mark.slow
def test_a_model_with_flex_is_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex_module, "_validate_device", lambda *_: None)
    torch._dynamo.reset()
    shape = ModelSettings(encoder_layers=1, decoder_layers=2, d_model=16, d_ff=16, num_heads=2, dropout=0.0)
    model = build_model(shape, 40, 40, seed=1).train()
    source, target = pack([[5, 6, 7, 2], [8, 2]]), pack([[1, 9], [1, 10, 11, 12]])
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    computed = []
    for wanted, forward in (("auto", model), ("flex", compiled)):
        model.use_attention_kernel(wanted)
        states = forward(source, target)
        computed.append([states, *torch.autograd.grad(states.cos().sum(), list(model.parameters()))])
    for mine, expected in zip(*computed, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-4)
    torch._dynamo.reset()


@pytest.mark.slow
def test_batches_of_many_shapes_share_two_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_function = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **options: compile_function(function, backend="eager", **options)
    )
    module._compiled.cache_clear()
    kernel = module._compiled()
    for lengths in (QUERIES, KEYS, [200, 30], [7, 150, 3, 4], [300], [128, 128], [1, 140, 5], [160], [90, 90, 90]):
        layout, size = layout_of(lengths), sum(lengths)
        query, key, value = torch.randn(3, size, 2, 16).unbind()
        for causal in (False, True):
            mask = sentence_blocks(layout, layout, size, size, causal)
            grids = [each.transpose(0, 1)[None] for each in (query, key, value)]
            found = kernel(*grids, block_mask=mask)[0].transpose(0, 1)
            torch.testing.assert_close(found, attend(query, key, value, layout, layout, causal))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    module._compiled.cache_clear()
    torch._dynamo.reset()
