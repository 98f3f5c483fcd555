"""What the steps of training did: losses, speed, and which were skipped; on the device until someone asks."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from translator.distributed.world import World
from translator.training.progress import Progress
from translator.training.update import UpdateSums

_NAMED_PAIRS = 200


class StepStats:
    """Collects the sums of steps on the device, since reading a number there waits for all that was queued."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._sums: list[UpdateSums] = []
        self._seconds = 0.0
        self._unread: list[tuple[int, Tensor, Sequence[np.ndarray]]] = []

    def add(self, step: int, sums: UpdateSums, indices: Sequence[np.ndarray], seconds: float) -> None:
        """Add a step that took `seconds`; `indices` are those of its training pairs on all ranks, one array a batch."""
        self._sums.append(sums)
        self._seconds += seconds
        self._unread.append((step, sums.skipped, indices))

    def count_skipped(self, progress: Progress) -> list[dict[str, Any]]:
        """Wait for the steps since the last call, count skipped ones in `progress`, and describe each for the log."""
        if not self._unread:
            return []
        flags = torch.stack([flag for _, flag, _ in self._unread]).tolist()
        skipped = []
        for (step, _, indices), flag in zip(self._unread, flags, strict=True):
            if not flag:
                progress.skipped_in_a_row = 0
                continue
            progress.skipped += 1
            progress.skipped_in_a_row += 1
            pairs = np.concatenate(indices)
            skipped.append({"step": step, "pairs": pairs[:_NAMED_PAIRS].tolist(), "number_of_pairs": len(pairs)})
        self._unread.clear()
        return skipped

    def take_figures(self) -> dict[str, Any]:
        """Wait for the steps since the last call; return their means over all processes, for the log.

        Skipped steps count in the speed only.
        """
        began = time.monotonic()
        rows = torch.stack(
            [torch.stack([s.smoothed, s.nll, s.gradient_norm, s.skipped]).float() for s in self._sums]
        ).tolist()
        seconds = self._seconds + time.monotonic() - began
        smoothed = nll = tokens = norm = alignment = linked = 0.0
        alignments = [s.alignment for s in self._sums if s.alignment is not None]
        # Steps of one run all have it, or none.
        row_alignments = torch.stack(alignments).tolist() if alignments else [0.0] * len(rows)
        done = len(rows) - sum(bool(row[3]) for row in rows)
        for (row_smoothed, row_nll, row_norm, skipped), own, sums in zip(rows, row_alignments, self._sums, strict=True):
            if not skipped:
                smoothed, nll, tokens = smoothed + row_smoothed, nll + row_nll, tokens + sums.target_tokens
                alignment, linked = alignment + own, linked + sums.linked_tokens
                norm += row_norm / done
        smoothed, nll, tokens, alignment, linked = self.world.sum([smoothed, nll, tokens, alignment, linked])
        all_tokens = sum(s.all_tokens for s in self._sums)
        self._sums, self._seconds = [], 0.0
        return {
            "loss": smoothed / tokens if tokens else float("nan"),
            "nll": nll / tokens if tokens else float("nan"),
            **({"alignment": alignment / linked if linked else float("nan")} if alignments else {}),
            "gradient_norm": norm if done else float("nan"),
            "skipped": len(rows) - done,
            "tokens_per_second": round(all_tokens / max(seconds, 1e-9), 1),
        }
