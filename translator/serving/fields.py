"""The fields of a request, however a client sends them: JSON, a form, multipart, or the query string of a POST."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from translator.serving.options import Limits
from translator.serving.refusals import RequestError, too_large

_MOST_FIELDS = 10_000


class DetectFields(BaseModel):
    """The fields of `/detect`."""

    q: str = Field(description="Text whose language is wanted.")
    api_key: str = ""


class TranslateFields(BaseModel):
    """The fields of `/translate`."""

    q: str | list[str] = Field(description="Text to translate, or a list of texts.")
    source: str = Field(description="Code of the source language, or auto.")
    target: str = Field(description="Code of the target language.")
    format: Literal["text", "html"] = Field("text", description="html: tags are kept and not translated.")
    alternatives: int = Field(0, ge=0, description="How many other translations are wanted.")
    api_key: str = ""
    alignment: bool = Field(False, description="Whether to answer the aligned words of each line.")
    characters: bool = Field(False, description="Whether to answer the aligned characters of each line.")
    scores: bool = Field(False, description="Whether to answer the scores of each line.")
    prefix: str = Field("", description="What the translation begins with; for texts of one line without markup.")
    glossary: dict[str, str] = Field(
        default_factory=dict, max_length=1_000, description="Source terms and the target terms to use for them (JSON)."
    )
    protect: list[str] = Field(
        default_factory=list, max_length=100,
        description="Text to keep as it is: url, email, placeholder, number, or the text itself.",
    )  # fmt: skip


class AttentionFields(BaseModel):
    """The fields of `/attention`."""

    q: str = Field(description="A sentence.")
    source: str
    target: str
    translation: str | None = Field(None, description="Its translation; by default the model translates.")
    format: Literal["html", "json"] = Field("html", description="The inspector's page, or the weights.")
    api_key: str = ""


class FileFields(BaseModel):
    """The fields of `/translate_file` besides the file."""

    source: str
    target: str
    api_key: str = ""


Fields = TypeVar("Fields", bound=BaseModel)


async def read_fields(request: Request, limits: Limits) -> dict[str, Any]:
    """Return all fields of a request; those of the body replace those of the query string.

    A field that is repeated is a list. Raises `RequestError` for what cannot be read.
    """
    query = request.scope.get("query_string", b"")
    fields = _form(query, "query string") if request.method != "GET" or query else {}
    body = await _body(request, limits)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body:
        return fields
    if kind == "multipart/form-data":
        return fields | await _multipart(request, body)
    if kind == "application/x-www-form-urlencoded":
        return fields | _form(body, "form")
    if kind == "application/json" or kind.endswith("+json") or kind in ("", "text/plain"):
        return fields | _json(body)
    raise RequestError(
        400, f"Content-Type: found {kind[:80]!r}, expected application/json, application/x-www-form-urlencoded or "
        "multipart/form-data"
    )  # fmt: skip


def check_fields(model: type[Fields], fields: Mapping[str, Any]) -> Fields:
    """Return typed fields; raise `RequestError` with the first that is missing or wrong."""
    names = set(model.model_fields)
    lists = {"q", "protect"}
    known = {name: _clean(value) for name, value in fields.items() if name in names and value is not None}
    known = {name: [value] if name == "protect" and isinstance(value, str) else value for name, value in known.items()}
    for name, value in known.items():
        if isinstance(value, tuple):
            raise RequestError(400, f"Invalid request: {name} is a file; expected text (curl: -F '{name}=<FILE')")
        if isinstance(value, list) and name not in lists:
            raise RequestError(400, f"Invalid request: {name} is there more than once")
    if isinstance(known.get("glossary"), str):
        known["glossary"] = _json(known["glossary"].encode("utf-8", "replace"))
    try:
        return model.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "the request"
        if first["type"] == "missing":
            raise RequestError(400, f"Invalid request: missing {name} parameter") from None
        raise RequestError(400, f"Invalid request: {name}: {first['msg']}") from None


async def _body(request: Request, limits: Limits) -> bytes:
    """Read the body within the limits of size and time."""
    stated = request.headers.get("content-length", "")
    error = too_large(f"The request is larger than {limits.body_bytes:,} bytes")
    if stated.isdecimal() and int(stated[:20]) > limits.body_bytes:
        raise error
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise error
                parts.append(part)
    except TimeoutError:
        raise RequestError(408, f"The request has not arrived within {limits.body_seconds:g} seconds") from None
    except ClientDisconnect:
        raise RequestError(400, "The connection was closed before the request had arrived") from None
    return b"".join(parts)


def _form(data: bytes, what: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError:
        raise RequestError(400, f"Invalid request: the {what} is not UTF-8 in percent encoding") from None
    except ValueError as error:
        raise RequestError(400, f"Invalid request: the {what} cannot be read ({error})") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        _add(fields, name.removesuffix("[]"), value)
    return fields


def _json(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise RequestError(400, "Invalid request: the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"Invalid request: the body is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "Invalid request: found JSON that is no object, expected an object")
    return fields


async def _multipart(request: Request, body: bytes) -> dict[str, Any]:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    fields: dict[str, Any] = {}
    try:
        # `Request.form` keeps small files in memory, and `body` is bounded already.
        form = await Request(request.scope, receive).form(max_files=1, max_fields=1_000, max_part_size=len(body))
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                fields[name] = (value.filename or "", await value.read())
            else:
                _add(fields, name.removesuffix("[]"), value)
    except RequestError:
        raise
    except Exception as error:  # Several kinds from the parser, none of which is more than "cannot be read".
        reason = getattr(error, "detail", None) or type(error).__name__
        raise RequestError(400, f"Invalid request: the multipart body cannot be read ({reason})") from None
    return fields


def _add(fields: dict[str, Any], name: str, value: str) -> None:
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _clean(value: Any) -> Any:
    """Replace lone surrogates, which JSON can escape and no answer could hold, by U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    return value
