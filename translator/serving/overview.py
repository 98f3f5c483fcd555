"""The routes that say what the server is and how it is doing, and the one that makes it reload."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from translator.errors import TranslatorError
from translator.serving.admission import Admission
from translator.serving.documents import FORMATS
from translator.serving.metrics import Metrics
from translator.serving.models import Models
from translator.serving.options import ServerOptions
from translator.serving.parent import ask_parent_to_reload
from translator.serving.refusals import RETRY_SECONDS, RequestError


class Overview:
    """What people, pages and machines ask about the server."""

    def __init__(self, options: ServerOptions, models: Models, admission: Admission, metrics: Metrics) -> None:
        self.options, self.limits = options, options.limits
        self.models, self.admission, self.metrics = models, admission, metrics

    async def languages(self, request: Request) -> Response:
        """`GET` and `POST /languages`."""
        return JSONResponse(self.models.directions.languages())

    async def model_list(self, request: Request) -> Response:
        """`GET /models`: what each model is."""
        return JSONResponse([model.information for model in self.models.models])

    async def frontend_settings(self, request: Request) -> Response:
        """`GET /frontend/settings`: what a page needs to know."""
        directions = self.models.directions
        by_code = {own["code"]: own for own in directions.languages()}
        first = directions.models[0]
        pair = {"source": by_code[first.source], "target": by_code[first.targets[0]]}
        limits = self.limits
        return JSONResponse(
            {
                "charLimit": limits.characters or -1,
                "lineLimit": limits.lines or -1,
                "alternativesLimit": limits.alternatives,
                "frontendTimeout": 500,
                "apiKeys": self.admission.keys.required,
                "keyRequired": self.admission.keys.required,
                "suggestions": False,
                "filesTranslation": True,
                "supportedFilesFormat": list(FORMATS),
                "fileBytesLimit": self.limits.file_bytes,
                "language": {
                    name: {"code": own["code"], "name": own["name"]} for name, own in pair.items()
                },
            }
        )  # fmt: skip

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """`GET /ready`."""
        return JSONResponse({"status": "ready"})

    async def metrics_text(self, request: Request) -> Response:
        """`GET /metrics`."""
        queue = [
            (model.run.name, model.batcher.waiting_requests, model.batcher.waiting_characters)
            for model in self.models.models
        ]
        return PlainTextResponse(self.metrics.text(queue), media_type="text/plain; version=0.0.4")

    async def reload(self, request: Request) -> Response:
        """`POST /reload`: take up runs that were replaced on disk; only with a key."""
        if not self.admission.keys.required:
            raise RequestError(403, "The server has no API keys, so that only SIGHUP makes it reload")
        await self.admission.fields_of(request)
        if self.options.workers > 1:
            ask_parent_to_reload()
            return JSONResponse({"status": "reloading"}, status_code=202)
        try:
            changed = await asyncio.to_thread(self.models.reload)
        except TranslatorError as error:
            raise RequestError(503, f"The models stay as they are: {error}", RETRY_SECONDS) from None
        return JSONResponse({"status": "reloaded", "changed": changed})
