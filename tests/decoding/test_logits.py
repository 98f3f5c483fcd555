"""The fast top-k and logsumexp against PyTorch's."""

import math

import pytest
import torch

from translator.decoding.logits import logsumexp, top_k


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
