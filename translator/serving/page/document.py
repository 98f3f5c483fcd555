"""The routes of the page and of its files, and the policy that holds the browser to them."""

import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from translator.serving.refusals import RequestError

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # Text cannot become markup: browsers refuse `innerHTML` and the like.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""The Content Security Policy of the page: its own files and routes, and nothing inline."""
_TYPES = {"css": "text/css", "js": "text/javascript"}


async def page(request: Request) -> Response:
    """`GET /`."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(_read(__package__, "page.html"), media_type="text/html", headers=headers)


async def page_part(request: Request) -> Response:
    """`GET /page/NAME`: a style or a script."""
    name = str(request.path_params["name"])
    # The look that all pages share is stored with the code that they share.
    package = "translator.runtime.page" if name == "base.css" else __package__
    kind = _TYPES.get(name.rpartition(".")[2])
    if kind is None or not re.fullmatch(r"[a-z]+\.[a-z]+", name) or not files(package).joinpath(name).is_file():
        raise RequestError(404, "Not Found")
    return Response(_read(package, name), media_type=kind, headers={"Cache-Control": "no-cache"})


def _read(package: str, name: str) -> bytes:
    return files(package).joinpath(name).read_bytes()
