"""Starting and stopping the server: its socket, its worker processes, its signals."""

import socket
import tempfile
from dataclasses import replace

from translator.errors import ConfigError
from translator.runtime.console import say
from translator.runtime.termination import exit_on_termination
from translator.serving.options import Keys, ServerOptions
from translator.serving.workers import Workers

_BACKLOG = 2048
_TERMINATED = 143


def require_serving() -> None:
    """Import what the server needs; raise `ConfigError` if the extra is not installed."""
    try:
        import docx  # noqa: F401
        import fastapi  # noqa: F401
        import httptools  # noqa: F401
        import py3langid.langid  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            [f"serve: it needs packages that cannot be imported ({error}); run `pip install translator-nmt[serve]`"]
        ) from None


def serve(options: ServerOptions) -> None:
    """Serve until SIGINT or SIGTERM; requests that have begun are finished.

    SIGHUP makes it load the runs again. Raises `ConfigError` for an address that cannot be used, and what loading the
    runs raises.
    """
    require_serving()
    Keys.read(options.keys_file)  # so that mistakes are reported before anything is loaded
    with tempfile.TemporaryDirectory(prefix="translator-files-") as files, _bind(options) as listener:
        options = replace(options, files=files)
        try:
            with exit_on_termination():
                if options.workers > 1:
                    _announce(options, listener, list(options.runs))
                    Workers(options, listener).run()
                else:
                    _serve_alone(options, listener)
        except SystemExit as end:
            # All requests were finished, which is a good end.
            if end.code != _TERMINATED:
                raise


def _serve_alone(options: ServerOptions, listener: socket.socket) -> None:
    from translator.serving.app import make_app
    from translator.serving.http_server import make_server
    from translator.serving.metrics import Metrics
    from translator.serving.models import Models

    metrics = Metrics()
    models = Models(options, metrics)
    _announce(options, listener, [f"{own.source}-{target}" for own in models.models for target in own.targets])
    make_server(make_app(options, models, metrics), options).run(sockets=[listener])


def _bind(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            [f"serve: {options.host}, port {options.port} cannot be used ({reason}); choose another --host or --port"]
        ) from None
    return listener


def _announce(options: ServerOptions, listener: socket.socket, what: list[str]) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    say(f"http://{host}:{listener.getsockname()[1]} serves {', '.join(what)}")
