"""The fast top-k and logsumexp against PyTorch's."""

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from translator.decoding import logits as module
from translator.decoding.logits import best_tokens, logsumexp, top_k


@pytest.mark.parametrize("vocabulary", [5, 64, 300, 1000, 1024, 1025, 1087])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_top_k_equals_pytorch(vocabulary: int, count: int) -> None:
    logits = torch.randn(4, 3, vocabulary, generator=torch.Generator().manual_seed(vocabulary + count))
    logits[0, 0, vocabulary - 1] = 9.0  # after the last whole group
    logits[1] = -math.inf
    logits[1, :, :count] = torch.arange(float(min(count, vocabulary)))
    expected = logits.topk(min(count, vocabulary), dim=-1)
    values, ids = top_k(logits, count)
    assert torch.equal(values, expected.values)
    assert torch.equal(ids, expected.indices)


def test_nan_is_the_largest_logit() -> None:
    logits = torch.zeros(1, 2000)
    logits[0, 1990] = math.nan
    values, ids = top_k(logits, 2)
    assert ids[0, 0] == 1990
    assert values[0, 0].isnan()


def test_logsumexp_equals_pytorch() -> None:
    logits = torch.randn(2, 3, 50) * 30
    expected = logits.logsumexp(-1, keepdim=True)
    torch.testing.assert_close(logsumexp(logits, logits.amax(-1, keepdim=True)), expected)


@pytest.mark.parametrize("vocabulary", [2000, 2048])
def test_logits_in_half_precision_are_read_as_they_are(vocabulary: int) -> None:
    logits = (torch.randn(3, 2, vocabulary) * 5).bfloat16()
    before = logits.clone()
    values, ids = top_k(logits, 6)
    assert torch.equal(values, logits.topk(6).values)
    assert torch.equal(logits.gather(-1, ids), values)
    found = logsumexp(logits, values[..., :1])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, logits.float().logsumexp(-1, keepdim=True))
    assert torch.equal(logits, before)


@pytest.mark.parametrize("vocabulary", [2000, 2048])
def test_top_k_stays_on_its_device(vocabulary: int) -> None:
    values, ids = top_k(torch.empty(3, 2, vocabulary, dtype=torch.bfloat16, device="meta"), 6)
    assert values.is_meta and ids.is_meta and ids.shape == (3, 2, 6)


@pytest.mark.parametrize("vocabulary", [5, 64, 300, 1000, 1024, 1087])
@pytest.mark.parametrize("at_once", [1, 2000, 1 << 24])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_walk_finds_what_two_find(
    vocabulary: int, at_once: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    logits = torch.randn(4, 3, vocabulary, generator=torch.Generator().manual_seed(vocabulary)) * 30
    logits[0, 0, vocabulary - 1] = 200.0  # after the last whole group
    logits[1, 0, vocabulary // 2 :] = -math.inf
    logits[1, 1] = -math.inf
    logits[1, 2, vocabulary // 3] = math.nan
    logits = logits.to(dtype)
    before = logits.clone()
    found = best_tokens(logits, 6)
    values, ids = top_k(logits, 6)
    assert torch.equal(found.logits.nan_to_num(nan=1e9), values.nan_to_num(nan=1e9)) and torch.equal(found.ids, ids)
    assert found.logsumexp.dtype == torch.float32
    wide = before.float()
    normalizers = found.logsumexp, wide.logsumexp(-1, keepdim=True)
    # A row without any token, whose log-probabilities are -inf or not a number, gets none.
    one, two = ((values.float() - each).nan_to_num(nan=-math.inf, neginf=-math.inf) for each in normalizers)
    torch.testing.assert_close(one, two, rtol=2e-6, atol=2e-5)
    assert torch.equal(logits.nan_to_num(nan=1e9), before.nan_to_num(nan=1e9))
    whole = logsumexp(before, before.amax(-1, keepdim=True))
    torch.testing.assert_close(whole[[0, 2, 3]], found.logsumexp[[0, 2, 3]], rtol=2e-6, atol=1e-5)


class Largest(TorchDispatchMode):
    """The size in bytes of the largest tensor that an operator makes."""

    bytes = 0

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        found = operator(*arguments, **(options or {}))
        for each, kind in zip(
            found if isinstance(found, (tuple, list)) else [found], operator._schema.returns, strict=False
        ):
            if kind.alias_info is None:  # neither a view nor the argument itself
                self.bytes = max(self.bytes, each.numel() * each.element_size())
        return found


def test_no_temporary_is_a_copy_of_the_logits_in_fp32() -> None:
    """For 512 sentences, a beam of 5 and the vocabulary of base: 189 MB of logits, which would be 379 MB in fp32."""
    logits = torch.empty(512, 5, 37_000, dtype=torch.bfloat16, device="meta")
    for function, most in (
        (lambda: best_tokens(logits, 6), 4 * (1 << 24)),
        (lambda: logsumexp(logits, logits[..., :1]), 4 * (1 << 24)),
    ):
        with Largest() as largest:
            function()
        assert 1e6 < largest.bytes <= most
