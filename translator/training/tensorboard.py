"""Metrics for TensorBoard: figures as curves, scores with their signature, translations as text."""

import importlib
from pathlib import Path
from typing import Any

from translator.errors import ConfigError

# These say where in the run a line belongs; a curve of them would say nothing.
_POSITION = ("kind", "time", "step")


def require_tensorboard() -> Any:
    """Import PyTorch's writer of event files; raise `ConfigError` if TensorBoard is not installed."""
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        raise ConfigError(
            [
                f"training.tensorboard: needs the package tensorboard, which cannot be imported ({error}); "
                "run `pip install tensorboard`, or set training.tensorboard=false"
            ]
        ) from None


class EventFiles:
    """Writes lines of metrics to event files in `directory`; a new file whenever steps become void."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._writer_class = require_tensorboard()
        self._writer: Any = None
        # TensorBoard takes the first purge step for the beginning of the run, so every run has one.
        self._purge_step = 0

    def void_after(self, step: int) -> None:
        """Hide what was written, in this or an earlier process, of the steps after `step`."""
        self.close()
        self._purge_step = step + 1

    def write(self, step: int, line: dict[str, Any]) -> None:
        """Write the figures, `scores` and `samples` of a line under `step`; anything else is left to the JSON."""
        if self._writer is None:
            self._writer = self._writer_class(str(self.directory), purge_step=self._purge_step)
        kind, seconds = line["kind"], line["time"]
        for name, value in line.items():
            if name not in _POSITION and isinstance(value, int | float):
                self._writer.add_scalar(f"{kind}/{name}", value, step, seconds)
        for score in line.get("scores", ()):
            self._write_score(f"{kind}/{score['name']}", score, step, seconds)
        if line.get("samples"):
            text = "\n\n".join(_as_code(sample) for sample in line["samples"])
            self._writer.add_text(f"{kind}/samples", text, step, seconds)
        # A checkpoint may follow at once, and a run that is killed after it does not repeat these steps.
        self._writer.flush()

    def _write_score(self, tag: str, score: dict[str, Any], step: int, seconds: float) -> None:
        """Write a score with its signature as description, which `add_scalar` does not take."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        summary = scalar_pb(tag, score["value"], description=f"sacreBLEU {score['signature']}")
        self._writer.file_writer.add_summary(summary, step, seconds)

    def close(self) -> None:
        """Close the current file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _as_code(sample: dict[str, str]) -> str:
    """Set a sample as Markdown's preformatted text, so that nothing in it is taken for Markdown."""
    width = max(map(len, sample))
    return "\n".join(f"    {name:<{width}}  {text}" for name, text in sample.items())
