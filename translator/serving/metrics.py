"""Counts and times of a server process, in the text format of Prometheus."""

import os
import threading
from collections import Counter, deque
from collections.abc import Sequence

_KEPT = 1_000
"""Requests whose seconds the quantiles are taken of."""
_QUANTILES = (0.5, 0.95, 0.99)


class Metrics:
    """What happened since the start; several threads may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._rejected: Counter[str] = Counter()
        self._reloads: Counter[str] = Counter()
        self._lines = self._tokens = self._batches = 0
        self._seconds: deque[float] = deque(maxlen=_KEPT)
        self._seconds_sum, self._seconds_count = 0.0, 0

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered; `path` is the route, so that there are only so many."""
        with self._lock:
            self._requests[path, status] += 1
            if path == "/translate":
                self._seconds.append(seconds)
                self._seconds_sum += seconds
                self._seconds_count += 1

    def count_batch(self, lines: int, tokens: int) -> None:
        """Count a batch that was translated; `tokens` are those of the sources."""
        with self._lock:
            self._batches += 1
            self._lines += lines
            self._tokens += tokens

    def count_rejected(self, reason: str) -> None:
        """Count a request that was refused: `queue`, `rate`, `key` or `size`."""
        with self._lock:
            self._rejected[reason] += 1

    def count_reload(self, *, successful: bool) -> None:
        """Count an attempt to replace the models."""
        with self._lock:
            self._reloads["done" if successful else "failed"] += 1

    def text(self, queue: Sequence[tuple[str, int, int]]) -> str:
        """Write everything; `queue` has (run, waiting requests, waiting characters)."""
        with self._lock:
            lines = [*_head("requests_total", "counter", "Requests answered.")]
            lines += [
                _sample("requests_total", count, path=path, status=status)
                for (path, status), count in sorted(self._requests.items())
            ]
            lines += _head("rejected_total", "counter", "Requests refused, by reason.")
            lines += [_sample("rejected_total", count, reason=own) for own, count in sorted(self._rejected.items())]
            lines += _head("reloads_total", "counter", "Attempts to replace the models.")
            lines += [_sample("reloads_total", count, result=own) for own, count in sorted(self._reloads.items())]
            for name, value, help_text in (
                ("lines_total", self._lines, "Lines translated."),
                ("tokens_total", self._tokens, "Source tokens translated."),
                ("batches_total", self._batches, "Batches translated."),
            ):
                lines += [*_head(name, "counter", help_text), _sample(name, value)]
            name = "translate_seconds"
            lines += _head(name, "summary", f"Time of /translate; quantiles of the last {_KEPT} requests.")
            ordered = sorted(self._seconds)
            lines += [
                _sample(name, ordered[min(len(ordered) - 1, int(share * len(ordered)))], quantile=share)
                for share in _QUANTILES
                if ordered
            ]
            lines += [_sample(f"{name}_sum", self._seconds_sum), _sample(f"{name}_count", self._seconds_count)]
        lines += _head("queue_requests", "gauge", "Requests that wait or are being translated.")
        lines += [_sample("queue_requests", requests, run=run) for run, requests, _ in queue]
        lines += _head("queue_characters", "gauge", "Their characters.")
        lines += [_sample("queue_characters", characters, run=run) for run, _, characters in queue]
        lines += [*_head("process_id", "gauge", "The worker that answered."), _sample("process_id", os.getpid())]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, help_text: str) -> list[str]:
    return [f"# HELP translator_{name} {help_text}", f"# TYPE translator_{name} {kind}"]


def _sample(name: str, value: float, **labels: object) -> str:
    own = ",".join(f'{key}="{_escape(str(text))}"' for key, text in labels.items())
    return f"translator_{name}{{{own}}} {value:.9g}" if own else f"translator_{name} {value:.12g}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
