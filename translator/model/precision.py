"""A copy of a model that computes in half precision without converting its weights at every use."""

import copy

import torch
from torch import nn

from translator.attention import MultiHeadAttention
from translator.model.transformer import Transformer


def with_matrices_in(dtype: torch.dtype, model: Transformer) -> Transformer:
    """Return a copy for inference whose matrix products have weights of `dtype`; for fp32, the model itself.

    Under autocast it computes what the model does under autocast: embeddings and norms stay in fp32. Training the
    model further does not change the copy.
    """
    if dtype == torch.float32:
        return model
    copied = copy.deepcopy(model).requires_grad_(False)
    for module in copied.modules():
        if isinstance(module, nn.Linear | MultiHeadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    # By itself, since an embedding may use the same weight.
    copied.output_weight = nn.Parameter(copied.output_weight.to(dtype), requires_grad=False)
    return copied
