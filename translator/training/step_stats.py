"""What training logs: sums over the steps between two log points, on the device until they are asked for."""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from translator.distributed.world import World
from translator.training.progress import Progress
from translator.training.update import UpdateSums

_NAMED_PAIRS = 200


class SkippedSteps:
    """Collects the flags of steps on the device, and looks at them when it is asked to."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._flags: list[tuple[int, Tensor, list[np.ndarray]]] = []

    def add(self, step: int, flag: Tensor, indices: list[np.ndarray]) -> None:
        """Note whether `step` was skipped (1 or 0, on the device), and the pairs of all ranks that it was about."""
        self._flags.append((step, flag, indices))

    def count(self) -> list[dict[str, Any]]:
        """Wait for the flags, count them in `progress`, and describe the skipped steps for the metrics."""
        if not self._flags:
            return []
        flags = torch.stack([flag for _, flag, _ in self._flags]).tolist()
        found = []
        for (step, _, indices), flag in zip(self._flags, flags, strict=True):
            if not flag:
                self.progress.skipped_in_a_row = 0
                continue
            self.progress.skipped += 1
            self.progress.skipped_in_a_row += 1
            pairs = np.concatenate(indices)
            found.append({"step": step, "pairs": pairs[:_NAMED_PAIRS].tolist(), "number_of_pairs": len(pairs)})
        self._flags.clear()
        return found


class Window:
    """Sums between two log points, on the device until they are asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sums: list[UpdateSums] = []
        self.seconds = 0.0

    def add(self, sums: UpdateSums, seconds: float) -> None:
        """Add a step."""
        self.sums.append(sums)
        self.seconds += seconds

    def figures(self) -> dict[str, Any]:
        """What the metrics say of these steps, over all processes; skipped ones count in the speed only."""
        began = time.monotonic()
        rows = torch.stack(
            [torch.stack([s.smoothed, s.nll, s.gradient_norm, s.skipped]).float() for s in self.sums]
        ).tolist()
        self.seconds += time.monotonic() - began
        smoothed = nll = tokens = norm = 0.0
        done = len(rows) - sum(bool(row[3]) for row in rows)
        for (row_smoothed, row_nll, row_norm, skipped), sums in zip(rows, self.sums, strict=True):
            if not skipped:
                smoothed, nll, tokens = smoothed + row_smoothed, nll + row_nll, tokens + sums.target_tokens
                norm += row_norm / done
        smoothed, nll, tokens = self.world.sum([smoothed, nll, tokens])
        all_tokens = sum(s.all_tokens for s in self.sums)
        return {
            "loss": smoothed / tokens if tokens else float("nan"),
            "nll": nll / tokens if tokens else float("nan"),
            "gradient_norm": norm if done else float("nan"),
            "skipped": len(rows) - done,
            "tokens_per_second": round(all_tokens / max(self.seconds, 1e-9), 1),
        }
