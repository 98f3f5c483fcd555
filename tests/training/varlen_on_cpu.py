"""The route that attention takes on a GPU, on the CPU: a kernel for `varlen_attn`, and a count of compiled graphs."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import _varlen_attn, _varlen_attn_backward

from translator.attention import Dropout, kernels


def _sentences(*offsets: Tensor) -> Iterator[tuple[slice, slice]]:
    queries, keys = (each.tolist() for each in offsets)
    for index in range(len(queries) - 1):
        yield slice(*queries[index : index + 2]), slice(*keys[index : index + 2])


def _scores(query: Tensor, key: Tensor, causal: bool) -> Tensor:
    scores = torch.einsum("qhd,khd->hqk", query.float(), key.float()) / math.sqrt(query.size(-1))
    return scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf) if causal else scores


@_varlen_attn.register_kernel("cpu")
def _forward(
    query: Tensor, key: Tensor, value: Tensor, offsets_q: Tensor, offsets_k: Tensor, max_q: int, max_k: int,
    is_causal: bool = False, *_: Any, **__: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    assert int(offsets_q.diff().max()) <= max_q and int(offsets_k.diff().max()) <= max_k
    output = torch.empty_like(query).contiguous()
    logsumexp = torch.full((query.size(1), query.size(0)), math.inf)
    for rows, columns in _sentences(offsets_q, offsets_k):
        if rows.start == rows.stop:
            continue
        scores = _scores(query[rows], key[columns], is_causal)
        logsumexp[:, rows] = scores.logsumexp(-1)
        output[rows] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value[columns].float()).to(output.dtype)
    return output, logsumexp, torch.zeros(2, dtype=torch.uint64)


@_varlen_attn_backward.register_kernel("cpu")
def _backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, logsumexp: Tensor,
    offsets_q: Tensor, offsets_k: Tensor, max_q: int, max_k: int, is_causal: bool, *_: Any, **__: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    # Whatever no sentence writes must not be used.
    by_query, by_key, by_value = (torch.full_like(each, math.nan).contiguous() for each in (query, key, value))
    for rows, columns in _sentences(offsets_q, offsets_k):
        if rows.start == rows.stop:
            by_key[columns] = by_value[columns] = 0.0
            continue
        wide = gradient[rows].float()
        weights = (_scores(query[rows], key[columns], is_causal) - logsumexp[:, rows, None]).exp()
        by_weights = torch.einsum("qhd,khd->hqk", wide, value[columns].float())
        mean = (wide * output[rows].float()).sum(-1).t()[..., None]
        by_scores = weights * (by_weights - mean) / math.sqrt(query.size(-1))
        by_query[rows] = torch.einsum("hqk,khd->qhd", by_scores, key[columns].float()).to(query.dtype)
        by_key[columns] = torch.einsum("hqk,qhd->khd", by_scores, query[rows].float()).to(key.dtype)
        by_value[columns] = torch.einsum("hqk,qhd->khd", weights, wide).to(value.dtype)
    return by_query, by_key, by_value


@pytest.fixture
def varlen_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `take_varlen`."""
    take_varlen(monkeypatch)


def take_varlen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take FlashAttention's route in every dtype and width, computed by the kernels above, and the dropout of GPUs."""
    monkeypatch.setattr(kernels, "takes_varlen", lambda device, dtype, head_dim, dropout=0.0: dropout == 0.0)

    def drop(self: Dropout, values: Tensor) -> Tensor:
        return functional.dropout(values, self.probability, self.training)

    monkeypatch.setattr(Dropout, "forward", drop)
    monkeypatch.setattr(Dropout, "add", lambda self, residual, values: residual + drop(self, values))


class Graphs:
    """The graphs that were compiled, and where one was broken."""

    count = 0
    sizes: frozenset[int] = frozenset()
    """The first dimensions of what the last graph was made for."""

    def breaks(self) -> dict[str, int]:
        from torch._dynamo.utils import counters

        return dict(counters["graph_break"])


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Graphs]:
    """See `count_graphs`."""
    yield count_graphs(monkeypatch)
    torch._dynamo.reset()


def count_graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    """Count the graphs that `torch.compile` makes from now on, with a backend that takes no compiler."""
    from torch._dynamo.backends.registry import lookup_backend

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    found = Graphs()

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        found.count += 1
        found.sizes = frozenset(int(each.shape[0]) for each in inputs if isinstance(each, Tensor) and each.dim())
        return lookup_backend("aot_eager")(graph, inputs)

    def compile_counted(model: Any, **options: Any) -> Any:
        return _compile(model, **{**options, "backend": counting})

    monkeypatch.setattr(torch, "compile", compile_counted)
    return found


_compile = torch.compile
