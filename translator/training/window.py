"""What training logs: sums over the steps between two log points, on the device until they are asked for."""

import time
from typing import Any

import torch

from translator.runtime.world import World
from translator.training.update import UpdateSums


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
