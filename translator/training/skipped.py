"""Steps that were skipped because their gradient was not finite: counted, named, and judged."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from translator.training.progress import Progress

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
