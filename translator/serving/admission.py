"""Who may ask, and how often: API keys, and requests a minute by key or address."""

import threading
import time
from collections import OrderedDict
from typing import Any

from starlette.requests import Request

from translator.serving.fields import read_fields
from translator.serving.options import Keys, Limits
from translator.serving.refusals import RequestError

_MOST_CLIENTS = 10_000
"""Clients whose requests are remembered; the one that was away longest is forgotten first."""


class Admission:
    """Admits requests or raises `RequestError`; several threads may use one."""

    def __init__(self, keys: Keys, limits: Limits) -> None:
        self.keys, self._limits = keys, limits
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def fields_of(self, request: Request) -> dict[str, Any]:
        """Return the fields of a request that is admitted."""
        fields = await read_fields(request, self._limits)
        self.admit(request, fields.get("api_key"))
        return fields

    def admit(self, request: Request, key: object) -> None:
        """Check the key, from the fields or the header `Authorization: Bearer`, and the rate of its owner."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else key
        identity = self.keys.identify(given if isinstance(given, str) else None)
        if self.keys.required and identity is None:
            message = "Invalid API key" if given else "An API key is required: api_key or Bearer"
            raise RequestError(403, message, reason="key")
        address = request.client.host if request.client else ""
        wait = self._wait(identity or f"address {address}")
        if wait > 0:
            message = f"Too many requests: {self._limits.requests_per_minute} a minute are allowed"
            raise RequestError(429, message, retry_after=int(wait) + 1, reason="rate")

    def _wait(self, client: str) -> float:
        """Count a request of a client; return the seconds until it may be sent, 0 for now.

        A token bucket: a minute's requests may come at once, and are granted again at their rate.
        """
        most = self._limits.requests_per_minute
        if not most:
            return 0.0
        now = time.monotonic()
        with self._lock:
            left, seen = self._buckets.pop(client, (float(most), now))
            left = min(float(most), left + (now - seen) * most / 60)
            granted = left >= 1
            self._buckets[client] = (left - granted, now)
            while len(self._buckets) > _MOST_CLIENTS:
                self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - left) * 60 / most
