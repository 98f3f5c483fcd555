"""The routes by name, with what OpenAPI says about each."""

from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel

from translator.serving.fields import AttentionFields, DetectFields, FileFields, TranslateFields

_FORM = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_MEANINGS = {
    400: "The request is wrong; error says how.",
    403: "An API key is missing or wrong.",
    408: "The body did not arrive in time.",
    413: "The request is too large.",
    429: "Too many requests; Retry-After says when to come again.",
    503: "The server is busy; Retry-After says when to come again.",
}
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_DETECTED = {
    "type": "object",
    "properties": {"language": {"type": "string"}, "confidence": {"type": "number", "minimum": 0, "maximum": 100}},
    "required": ["language", "confidence"],
}
_LIST = {"type": "array", "items": {"type": "object"}}
_STATUS = {"type": "object", "properties": {"status": {"type": "string"}}}


class Route(NamedTuple):
    """One route: what it is called and how OpenAPI describes it."""

    method: str
    path: str
    handler: str
    """The method of `Service` or `Overview`."""
    summary: str
    extra: dict[str, Any] = {}
    responses: dict[int | str, dict[str, Any]] = {}


def _body(model: type[BaseModel], kinds: tuple[str, ...] = _FORM) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {kind: {"schema": model.model_json_schema()} for kind in kinds}}
    }


def _answers(
    schema: dict[str, Any], errors: tuple[int, ...] = tuple(_MEANINGS), status: int = 200
) -> dict[int | str, Any]:
    content = {"application/json": {"schema": schema}}
    answers: dict[int | str, Any] = {status: {"description": "Done.", "content": content}}
    for code in errors:
        answers[code] = {"description": _MEANINGS[code], "content": {"application/json": {"schema": _ERROR}}}
    return answers


def _file_body() -> dict[str, Any]:
    schema = FileFields.model_json_schema()
    schema["properties"] = {**schema["properties"], "file": {"type": "string", "format": "binary"}}
    schema["required"] = [*schema["required"], "file"]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_TRANSLATED = {
    "type": "object",
    "properties": {
        "translatedText": _TEXTS,
        "alternatives": {"type": "array"},
        "detectedLanguage": {"anyOf": [_DETECTED, {"type": "array", "items": _DETECTED}]},
        "alignment": {"type": "array"},
        "characters": {"type": "array"},
        "scores": {"type": "array"},
    },
    "required": ["translatedText"],
}
_NAME = {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]}

ROUTES = (
    Route("POST", "/translate", "translate", "Translate texts.", _body(TranslateFields), _answers(_TRANSLATED)),
    Route("POST", "/detect", "detect", "Say which language a text is in.", _body(DetectFields),
          _answers({"type": "array", "items": _DETECTED})),
    Route("GET", "/languages", "languages", "List the languages.", {}, _answers(_LIST, ())),
    Route("POST", "/languages", "languages", "List the languages.", {}, _answers(_LIST, ())),
    Route("POST", "/translate_file", "translate_file", "Translate a file.", _file_body(),
          _answers({"type": "object", "properties": {"translatedFileUrl": {"type": "string"}}})),
    Route("GET", "/download_file/{name}", "download_file", "Fetch a translated file.", _NAME,
          {200: {"description": "The file.", "content": {"application/octet-stream": {}}},
           404: {"description": "There is no such file.", "content": {"application/json": {"schema": _ERROR}}}}),
    Route("POST", "/attention", "attention", "Show where every attention head looks.", _body(AttentionFields),
          _answers({"type": "object"}) | {200: {"description": "The page or the weights.",
                                               "content": {"text/html": {}, "application/json": {}}}}),
    Route("GET", "/models", "model_list", "Say what each model is.", {}, _answers(_LIST, ())),
    Route("GET", "/frontend/settings", "frontend_settings", "What a page needs to know.", {},
          _answers({"type": "object"}, ())),
    Route("GET", "/health", "health", "Whether the server is alive.", {}, _answers(_STATUS, ())),
    Route("GET", "/ready", "ready", "Whether requests are taken.", {}, _answers(_STATUS, ())),
    Route("GET", "/metrics", "metrics_text", "Figures for Prometheus.", {},
          {200: {"description": "Figures.", "content": {"text/plain": {"schema": {"type": "string"}}}}}),
    Route("POST", "/reload", "reload", "Take up runs that were replaced on disk.", {},
          _answers(_STATUS, (400, 403, 408, 413, 429, 503)) | {202: {"description": "Workers are being replaced."}}),
)  # fmt: skip


def describe_routes() -> dict[str, Any]:
    """Return the description of all routes by OpenAPI."""
    app = FastAPI(title="translator", description="Translation with the API of LibreTranslate.", version="1")

    # Stands in for all handlers: what they take and answer is stated above.
    async def handle() -> None: ...

    for route in ROUTES:
        app.add_api_route(
            route.path, handle, methods=[route.method], name=route.handler, summary=route.summary,
            operation_id=f"{route.handler}_{route.method.lower()}", openapi_extra=route.extra, response_model=None,
            responses=route.responses,
        )  # fmt: skip
    return app.openapi()
