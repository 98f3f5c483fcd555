"""Word links of a batch, between the tokens of its sentences: what guided alignment learns.

Legend (docs/shapes.md): `N` sentences, `M` those that have links, `R` links.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

_TENSORS = ("sentences", "rows", "target", "source", "shares")


@dataclass(frozen=True)
class Links:
    """Which source tokens the target tokens of a batch are linked to.

    A target token is counted by its position in the labels: the decoder looks at the source to predict it.
    """

    sentences: Tensor
    """The sentences that have links, int64 `[M]`, ascending."""
    rows: Tensor
    """Index into `sentences` of each link, int64 `[R]`."""
    target: Tensor
    """Position of the target token in its sentence, int64 `[R]`."""
    source: Tensor
    """Position of the source token in its sentence, int64 `[R]`."""
    shares: Tensor
    """Share of the link among those of its target token, fp32 `[R]`."""
    target_length: int
    """All linked target positions are below this."""
    source_length: int
    """The most source tokens, end of sentence included, of a sentence that has links; or more."""

    @classmethod
    def of(cls, links: np.ndarray, source_offsets: np.ndarray) -> "Links":
        """Make the links of a batch out of those of its pairs, as `ParallelDataset.links`.

        `source_offsets` are those of the source pieces, int64 `[N + 1]`; in the batch, sources have a token more.
        """
        row, source, target = links.T
        sentences, rows = np.unique(row, return_inverse=True)
        _, tokens, counts = np.unique(row << 32 | target, return_inverse=True, return_counts=True)
        lengths = np.diff(source_offsets)[sentences] + 1
        return cls(
            sentences=_tensor(sentences),
            rows=_tensor(rows),
            target=_tensor(target),
            source=_tensor(source),
            shares=torch.from_numpy((1.0 / counts[tokens]).astype(np.float32)),
            target_length=int(target.max(initial=-1)) + 1,
            source_length=int(lengths.max(initial=0)),
        )

    @property
    def tokens(self) -> int:
        """Target tokens that have links; waits for the device."""
        return round(float(self.shares.sum(dtype=torch.float64)))

    def twice(self, sentences: int) -> "Links":
        """Return the links of a batch of that many sentences and the same again, with half the share each."""
        return replace(
            self,
            sentences=torch.cat([self.sentences, self.sentences + sentences]),
            rows=torch.cat([self.rows, self.rows + len(self.sentences)]),
            target=self.target.repeat(2),
            source=self.source.repeat(2),
            shares=0.5 * self.shares.repeat(2),
        )

    def of_sentences(self, rows: slice) -> "Links":
        """Return the links of a range of sentences; waits for the device."""
        first, end = (int((self.sentences < bound).sum()) for bound in (rows.start, rows.stop))
        chosen = (self.rows >= first) & (self.rows < end)
        return replace(
            self,
            sentences=self.sentences[first:end] - rows.start,
            rows=self.rows[chosen] - first,
            target=self.target[chosen],
            source=self.source[chosen],
            shares=self.shares[chosen],
        )

    def pin_memory(self) -> "Links":
        """Copy the links to pinned host memory."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in _TENSORS})

    def to(self, device: torch.device) -> "Links":
        """Copy the links to a device."""
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS})


def _tensor(indices: np.ndarray) -> Tensor:
    return torch.from_numpy(indices.astype(np.int64))
