"""uvicorn as this server needs it: no log of requests, bounds on the head of a request, and an end that loses none.

uvicorn itself waits for the head of a request for ever, and keeps all of it: a few clients could use up its connections
and its memory. The body is bounded where it is read (`fields.py`). When it ends, uvicorn itself closes every connection
on which no request is being answered; a client that has just connected, or has sent half a head, would get no answer.
"""

import asyncio

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from translator.serving.options import ServerOptions

_HEAD_BYTES = 64 << 10
_FIRST_REQUEST_SECONDS, _NEXT_REQUEST_SECONDS = 5.0, 1.0
"""How long connections wait for a request when the server ends: those that have carried none or have received a part of
the next, and those that have been answered. The latter may be closed at any time (RFC 9112, section 9.5) and most are
idle; the second is for requests that are on their way."""


def make_server(app: ASGIApp, options: ServerOptions) -> Server:
    """Return a server for an application; its `run` takes the listening sockets."""
    limits = options.limits

    class Protocol(_BoundedProtocol):
        seconds = limits.body_seconds

    Protocol.owner = server = Server(
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
    return server


class _BoundedProtocol(HttpToolsProtocol):
    """A connection whose requests must each begin within a time and a size; when the server ends, it carries one more.

    That request is answered with `Connection: close`, as is the one that is being answered when the server ends.
    """

    seconds = 30.0
    """From the connection, or from the first byte of a later request, to the end of the head."""
    owner: Server
    """The server that the connection belongs to."""
    _timer: asyncio.TimerHandle | None = None
    """Closes the connection if no head is complete by then."""
    _is_in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            if self._head_bytes == 0 and self.cycle is not None:
                self._wait_for_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is larger than {_HEAD_BYTES:,} bytes")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()
        if self.owner.should_exit:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close the connection after the request that is being answered, or after the next if it comes soon."""
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        elif self.cycle is None or self._head_bytes:
            self._wait_for_head()
        else:
            self._start_timer(_NEXT_REQUEST_SECONDS)

    def _wait_for_head(self) -> None:
        self._start_timer(min(self.seconds, _FIRST_REQUEST_SECONDS) if self.owner.should_exit else self.seconds)

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
