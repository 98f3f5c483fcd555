"""Random sentence pairs with the lengths of news text, and batches of them, for measuring without a corpus."""

from typing import Any

import numpy as np
import torch

from translator.attention import Layout
from translator.data import Gathered
from translator.data.batch_plan import plan_epoch
from translator.data.batches import Batch, BatchShape, SpecialTokens, make_batch
from translator.model import Transformer, count_parameters

VOCABULARY = 37_000
SPECIAL_TOKENS = SpecialTokens(source_eos=2, target_bos=1, target_eos=2)


class SyntheticPairs:
    """Random pairs; as much of a ParallelDataset as batches need."""

    longest = 100

    def __init__(self, count: int, vocabulary: int) -> None:
        random = np.random.default_rng(1)
        lengths = np.clip(random.lognormal(3.2, 0.55, count), 2, self.longest)
        self.source_lengths = lengths.astype(np.int32)
        ratio = random.normal(1.0, 0.15, count)
        self.target_lengths = np.clip(lengths * ratio, 2, self.longest).astype(np.int32)
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self.source_lengths)

    def gather(self, indices: np.ndarray) -> Gathered:
        """Random tokens in the lengths of the pairs."""
        random = np.random.default_rng(int(indices[0]))
        parts: list[np.ndarray] = []
        for lengths in (self.source_lengths[indices], self.target_lengths[indices]):
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            parts += [random.integers(3, self.vocabulary, offsets[-1]).astype(np.int32), offsets]
        return Gathered(*parts)


def batches_of(pairs: SyntheticPairs, tokens: int, fixed: bool) -> list[Batch]:
    """Random batches of `tokens` target tokens, all of one shape if it is `fixed`; the last one is left out."""
    data: Any = pairs
    shape = BatchShape.fixed(data, tokens, pairs.longest)
    plan = plan_epoch(data, shape.budget, "random", 1, 0)
    options = (shape,) if fixed else ()
    return [make_batch(data, indices, SPECIAL_TOKENS, *options) for indices in plan[:-1]]


def training_flops_per_token(model: Transformer, pairs: SyntheticPairs) -> float:
    """Matrix-product FLOPs of forward and backward (6 a weight) for a target token and its source share.

    Attention's own products are left out: under 2 % at these lengths.
    """
    source_share = float(pairs.source_lengths.sum() / pairs.target_lengths.sum())
    encoder = count_parameters(model.encoder_layers)
    decoder = count_parameters(model.decoder_layers)
    # The memory's keys and values are made for source tokens: half of a cross-attention's four matrices.
    d_model = model.settings.d_model
    memory = len(model.decoder_layers) * 2 * d_model * d_model
    return 6.0 * (source_share * (encoder + memory) + decoder - memory + model.output_weight.numel())


def random_layout(lengths: np.ndarray, device: torch.device) -> Layout:
    """A layout of sentences of these lengths."""
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return Layout(offsets.to(device), int(lengths.max()))
