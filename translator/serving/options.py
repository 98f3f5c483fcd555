"""What a server is told when it starts: runs, address, limits. Worker processes receive it, too."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from translator.errors import ConfigError

KEYS_VARIABLE = "TRANSLATOR_API_KEYS"
"""Environment variable with API keys, commas between them."""


@dataclass(frozen=True)
class Limits:
    """What one request, one client and all clients together may ask for; a bound that is 0 does not apply."""

    characters: int = 1_000_000
    """Of all texts of a request, and of a file."""
    lines: int = 20_000
    """Lines of all texts of a request, and of a file."""
    alternatives: int = 8
    """Translations besides the best one."""
    attention_characters: int = 1_000
    """Of a sentence and of its translation; the weights of a head grow with the product of their lengths."""
    requests_per_minute: int = 0
    """Of one API key, or of one address where no keys are required."""
    body_bytes: int = 8_000_000
    """Of the body of a request, as it is sent."""
    body_seconds: float = 30.0
    """Until the head of a request has arrived, and then until its body has."""
    queue_characters: int = 4_000_000
    """Waiting to be translated, for each direction; a request beyond them is refused with 503."""
    connections: int = 1_000
    """Open at once."""

    @property
    def file_bytes(self) -> int:
        """The most bytes of a file; the longest character has four."""
        return min(4 * self.characters or self.body_bytes, self.body_bytes)


@dataclass(frozen=True)
class ServerOptions:
    """All that a server is started with."""

    runs: tuple[str, ...]
    """Run directories, or `SOURCE-TARGET=RUN` for a run whose settings do not name its languages."""
    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1
    """Processes, each of which loads every run."""
    keys_file: str | None = None
    """File of API keys, one a line; more may be in `KEYS_VARIABLE`. Without any, no key is required."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the server."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of decoding for all translations."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """`device`, `precision` and `threads`, as in `load_bundle`."""
    engine: str = "auto"
    window_milliseconds: float = 3.0
    """How long a request waits for others to join its batch."""
    drain_seconds: int = 30
    """How long requests may take to finish after SIGTERM."""
    files: str = ""
    """Directory for translated files; `serve` makes it."""
    limits: Limits = Limits()


class Keys:
    """The API keys of a server, of which only digests are kept: no message can show a key."""

    def __init__(self, keys: list[str]) -> None:
        self._digests = {_digest(key) for key in keys}

    @classmethod
    def read(cls, file: str | None) -> "Keys":
        """Read a file of keys, whose blank lines and lines with `#` are skipped, and the environment.

        Raises `ConfigError` if the file cannot be read or has no keys.
        """
        found = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",")]
        if file is not None:
            try:
                lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8"
                raise ConfigError([f"keys: {file} cannot be read ({reason}); expected a key on each line"]) from None
            own = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
            if not own:
                raise ConfigError([f"keys: {file} has no key; expected one on each line"])
            found += own
        return cls([key for key in found if key])

    @property
    def required(self) -> bool:
        """Whether requests need a key."""
        return bool(self._digests)

    def identify(self, key: str | None) -> str | None:
        """Return a name for a valid key, from which the key cannot be derived; None for any other."""
        # Digests are compared, so that the time taken says nothing about the keys.
        digest = _digest(key or "")
        return digest if digest in self._digests else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
