"""The end of a server of HTTP: connections that it has accepted get an answer to the request that is on its way."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Server

from translator.serving.http_server import make_server
from translator.serving.options import ServerOptions

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
REQUEST = HEAD + b"text"
HALF = len(HEAD) // 2


async def _echo(request: Request) -> Response:
    return Response(await request.body())


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, int]]:
    """Run a server that answers with the body of the request; yield it and its port, and end it."""
    server = make_server(Starlette(routes=[Route("/", _echo, methods=["POST"])]), ServerOptions(()))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.001)
    yield server, port
    server.should_exit = True
    await task


async def answer_to(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read the head of an answer, without the date, and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date:")]
    return b"|".join(lines), await reader.readexactly(4)


async def begin_to_end(server: Server) -> None:
    """Tell the server to end; return when it takes no more connections."""
    server.should_exit = True
    while server.servers[0].is_serving():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("sent", [0, HALF, len(HEAD), len(HEAD) + 2])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_request_is_answered_however_much_of_it_has_arrived_at_the_end(sent: int, is_first: bool) -> None:
    async def check() -> None:
        async with serving() as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if not is_first:
                writer.write(REQUEST)
                assert await answer_to(reader) == (b"HTTP/1.1 200 OK|content-length: 4||", b"text")
            writer.write(REQUEST[:sent])
            while len(server.server_state.connections) < 1:
                await asyncio.sleep(0.001)
            await begin_to_end(server)
            writer.write(REQUEST[sent:])
            assert await answer_to(reader) == (b"HTTP/1.1 200 OK|content-length: 4|connection: close||", b"text")
            assert await reader.read() == b""
            writer.close()

    asyncio.run(check())


def test_connections_without_a_request_end_with_the_server() -> None:
    async def check() -> None:
        async with serving() as (server, port):
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            idle_writer.write(REQUEST)
            await answer_to(idle)
            await begin_to_end(server)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            assert await idle.read() == b""
            idle_writer.close()

    asyncio.run(check())
