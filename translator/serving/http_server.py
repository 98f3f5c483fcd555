"""uvicorn as this server needs it: without a log of requests, and with bounds on the head of a request.

uvicorn itself waits for the head of a request for ever, and keeps all of it: a few clients could use up its connections
and its memory. The body is bounded where it is read (`fields.py`).
"""

import asyncio

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from translator.serving.options import ServerOptions

_HEAD_BYTES = 64 << 10


def make_server(app: ASGIApp, options: ServerOptions) -> Server:
    """Return a server for an application; its `run` takes the listening sockets."""
    limits = options.limits

    class Protocol(_BoundedProtocol):
        seconds = limits.body_seconds

    return Server(
        Config(
            app,
            http=Protocol,
            ws="none",
            log_level="error",
            # It would print query strings, in which some clients send their keys.
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=options.drain_seconds,
            # A last resort: the application refuses requests earlier, and with a sentence.
            limit_concurrency=limits.connections + 100 if limits.connections else None,
            lifespan="on",
        )
    )


class _BoundedProtocol(HttpToolsProtocol):
    """A connection whose requests must each begin within a time and a size."""

    seconds = 30.0
    """From the connection, or from the first byte of a later request, to the end of the head."""
    _timer: asyncio.TimerHandle | None = None
    _is_in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            self._start_timer()
        super().data_received(data)
        if self._is_in_head and self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is larger than {_HEAD_BYTES:,} bytes")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
