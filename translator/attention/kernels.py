"""The choice of attention kernel, made here and nowhere else, and the explicit weights that the kernels are tested by.

Attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V (Vaswani et al. 2017, eq. 1), for every sentence of a packed batch.

Legend (docs/shapes.md): `Tq` query tokens, `Tk` key tokens, `N` sentences, `H` heads, `D` head width, `Lq`, `Lk`
longest sentence of queries and of keys.
"""

import functools
import importlib.util
import math

import torch
import torch.nn.attention
from torch import Tensor
from torch.nn import functional

from translator.attention.layout import Layout
from translator.attention.padded import attend_padded, to_grid
from translator.errors import DeviceError
from translator.runtime.device import has_flash_attention

# On the CPU the fused kernel makes fewer calls, which counts for few sentences. For more of them, explicit matrix
# products of all at once are faster: 2 times for 300 sentences of one query, 1.2 times for 60 of five.
_SENTENCES = 8


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_layout: Layout,
    key_layout: Layout,
    causal: bool = False,
    dropout: float = 0.0,
    wanted: str = "auto",
) -> Tensor:
    """Attend within every sentence.

    `query` `[Tq, H, D]`; `key`, `value` `[Tk, H, D]`; both layouts hold the same N sentences. With `causal`, a query
    sees the keys up to its own position (query and key lengths must be equal). `dropout` is applied to the weights.
    `wanted` is `training.attention_kernel`, for which `require_kernel` has been called. Returns `[Tq, H, D]`.
    """  # fmt: skip
    kernel = choose_kernel(query, dropout, wanted)
    if kernel == "varlen":
        return _attend_varlen(query, key, value, query_layout, key_layout, causal)
    if kernel == "flex":
        from translator.attention.flex import attend_flex

        return attend_flex(query, key, value, query_layout, key_layout, causal)
    return attend_padded(query, key, value, query_layout, key_layout, causal, dropout)


def attend_dense(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Attend on grids: `query` `[N, H, Lq, D]`, `key` and `value` `[N, H, Lk, D]`; returns `[N, H, Lq, D]`.

    For decoding, where the queries of a sentence are its hypotheses. `bias` is None or broadcasts to `[N, H, Lq, Lk]`:
    0 where a query may look, -inf where it may not. On the CPU Lk should be at least 16: over fewer keys softmax is not
    vectorised and takes ten times as long.
    """
    if query.is_cuda:
        exclude_cudnn_attention()
    if query.is_cuda or len(query) < _SENTENCES:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    scale = 1.0 / math.sqrt(query.size(-1))
    scores = query @ key.transpose(-1, -2)  # [N, H, Lq, Lk]
    scores = scores.mul_(scale) if bias is None else torch.add(bias, scores, alpha=scale)
    return scores.softmax(-1) @ value


@functools.cache
def exclude_cudnn_attention() -> None:
    """Keep `scaled_dot_product_attention` from cuDNN, for this process; the efficient and the plain kernel remain.

    On Hopper PyTorch prefers cuDNN for attention with a bias. It makes a plan for every new shape, for 22 to 440 ms
    according to public reports, and a beam search asks for a new shape at nearly every step. This is PyTorch's global
    flag, set once, because `torch.nn.attention.sdpa_kernel` sets and restores the same flag for all threads.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def choose_kernel(query: Tensor, dropout: float = 0.0, wanted: str = "auto") -> str:
    """Name the kernel for this device, dtype and dropout: `varlen` (FlashAttention 2 or 3), `flex` or `padded`.

    Nothing was timed on a GPU yet, so FlexAttention is only taken where it is asked for.
    """
    if wanted == "flex":
        return "flex"
    return "varlen" if takes_varlen(query.device, query.dtype, query.shape[-1], dropout) else "padded"


def require_kernel(wanted: str, device: torch.device, dtype: torch.dtype, head_dim: int, dropout: float = 0.0) -> None:
    """Prepare this process for the kernel that `training.attention_kernel` names, if it is not `auto`.

    Raises `DeviceError` if it does not run on this device, in this format, with heads of this width and this dropout.
    """
    if wanted == "auto":
        return
    where = f"training.attention_kernel: {wanted}"
    if not takes_varlen(device, dtype, head_dim, dropout):
        raise DeviceError(
            f"{where} takes bf16 or fp16 on CUDA devices of compute capability 8.0 or higher, heads of a width that is "
            f"a multiple of 8 up to 256, and no attention dropout; found {device.type}, {str(dtype)[6:]}, heads "
            f"{head_dim} wide, model.attention_dropout={dropout:g}; set it to auto"
        )
    if wanted == "fa3":
        if problem := _problem_with_fa3(device):
            raise DeviceError(f"{where}: {problem}; set it to auto")
        # From here on, all that PyTorch computes by FlashAttention is computed by version 3, in the whole process.
        torch.nn.attention.activate_flash_attention_impl("FA3")


def _problem_with_fa3(device: torch.device) -> str | None:
    """What keeps FlashAttention 3 from running; None if nothing does."""
    major, minor = torch.cuda.get_device_capability(device)
    if major != 9:
        return f"FlashAttention 3 is for compute capability 9.0 (H100, H200), found {major}.{minor}"
    if importlib.util.find_spec("flash_attn_interface") is None:
        return (
            "the package flash_attn_interface, which is built from the directory hopper of flash-attention, is missing"
        )
    if "FA3" not in getattr(torch.nn.attention, "list_flash_attention_impls", list)():
        return f"PyTorch {torch.__version__} cannot use FlashAttention 3"
    return None


def takes_varlen(device: torch.device, dtype: torch.dtype, head_dim: int, dropout: float = 0.0) -> bool:
    """Tell whether attention is FlashAttention over offsets, for queries of this kind.

    It takes half precision on CUDA devices that have it, head widths that are multiples of 8 up to 256, and no dropout
    through PyTorch's interface.
    """
    return has_flash_attention(device, dtype) and dropout == 0.0 and head_dim % 8 == 0 and head_dim <= 256


def _attend_varlen(
    query: Tensor, key: Tensor, value: Tensor, query_layout: Layout, key_layout: Layout, causal: bool
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    output = varlen_attn(
        query,
        key,
        value,
        query_layout.offsets,
        key_layout.offsets,
        query_layout.max_length,
        key_layout.max_length,
        window_size=(-1, 0) if causal else (-1, -1),
    )
    assert isinstance(output, Tensor)  # a tuple is returned only if more is asked for
    return output


def attention_weights(
    query: Tensor, key: Tensor, query_layout: Layout, key_layout: Layout, causal: bool = False
) -> Tensor:
    """Compute softmax(Q K^T / sqrt(D)) in fp32, to look at and to test the kernels by; no search uses it.

    `query` `[Tq, H, D]`, `key` `[Tk, H, D]`. Returns `[N, H, Lq, Lk]`; rows of real queries sum to one, masked
    keys are exactly zero, rows of padding are zero.
    """
    grid_query = to_grid(query.float(), query_layout)  # [N, H, Lq, D]
    grid_key = to_grid(key.float(), key_layout)  # [N, H, Lk, D]
    scores = grid_query @ grid_key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    seen = key_layout.mask[:, None, None, :] & query_layout.mask[:, None, :, None]
    if causal:
        seen = seen.expand(scores.shape).tril()
    scores = scores.masked_fill(~seen, -math.inf)
    return scores.softmax(-1).nan_to_num(0.0) * seen
