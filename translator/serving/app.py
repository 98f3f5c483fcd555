"""The routes of the server, their description (OpenAPI), and what becomes of errors.

FastAPI writes the description and Starlette serves: for a request FastAPI's own routes take twice the CPU time of
Starlette's (scripts/RESULTS.md), for parameters and dependencies that these handlers do without.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from translator.errors import TranslatorError
from translator.runtime.console import warn
from translator.serving.admission import Admission
from translator.serving.description import ROUTES, describe_routes
from translator.serving.metrics import Metrics
from translator.serving.models import Models
from translator.serving.options import Keys, ServerOptions
from translator.serving.overview import Overview
from translator.serving.page import page, page_part
from translator.serving.refusals import RETRY_SECONDS, RequestError
from translator.serving.service import Service


def make_app(options: ServerOptions, models: Models, metrics: Metrics) -> Starlette:
    """Build the application."""
    admission = Admission(Keys.read(options.keys_file), options.limits)
    service, overview = Service(options, models, admission), Overview(options, models, admission, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if options.workers == 1:
            _reload_on_hangup(models)
        yield
        models.stop()

    description = describe_routes()

    async def openapi(request: Request) -> Response:
        return JSONResponse(description)

    async def on_request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        if error.reason:
            metrics.count_rejected(error.reason)
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
        if error.status in (408, 413):
            headers["Connection"] = "close"  # The rest of the body is not read.
        if request.headers.get("accept", "").startswith("text/html"):
            # A browser that shows the answer itself, as the frame for attention does.
            return PlainTextResponse(error.message, error.status, headers)
        return JSONResponse({"error": error.message}, status_code=error.status, headers=headers)

    paths = {route.path for route in ROUTES} | {"/", "/openapi.json"}
    middleware = [Middleware(Watch, metrics=metrics, paths=paths, most=options.limits.connections)]
    if options.cors:
        cors = Middleware(
            CORSMiddleware, allow_origins=list(options.cors), allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip
        middleware.insert(0, cors)
    owners = {route.handler: service if hasattr(service, route.handler) else overview for route in ROUTES}
    return Starlette(
        routes=[
            *(
                Route(route.path, getattr(owners[route.handler], route.handler), methods=[route.method])
                for route in ROUTES
            ),
            Route("/openapi.json", openapi),
            Route("/", page),
            Route("/page/{name}", page_part),
        ],
        middleware=middleware,
        exception_handlers={RequestError: on_request_error, HTTPException: _on_http_exception, Exception: _on_bug},
        lifespan=lifespan,
    )


def _reload_on_hangup(models: Models) -> None:
    def reload() -> None:
        try:
            models.reload()
        except TranslatorError as error:
            warn(f"not reloaded, the models stay as they are: {error}")

    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = asyncio.create_task(asyncio.to_thread(reload))
        tasks.add(task)  # The loop itself keeps no reference.
        task.add_done_callback(tasks.discard)

    # Not on Windows, nor outside the main thread.
    with contextlib.suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGHUP, begin)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, status_code=error.status_code, headers=error.headers)


async def _on_bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "Internal error; the server's log has the reason"}, status_code=500)


class Watch:
    """Counts requests, refuses them at once while too many are open, and sends headers that browsers need."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: set[str], most: int) -> None:
        self._app, self._metrics, self._paths, self._most = app, metrics, paths, most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        self._open += 1
        try:
            if self._most and self._open > self._most:
                self._metrics.count_rejected("connections")
                full = JSONResponse(
                    {"error": "The server is busy; try again"}, 503, headers={"Retry-After": str(RETRY_SECONDS)}
                )
                await full(scope, receive, send_watched)
            else:
                await self._app(scope, receive, send_watched)
        finally:
            self._open -= 1
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.count_request(path, status, time.perf_counter() - began)
