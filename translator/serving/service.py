"""The routes that translate: read the fields, admit the request, translate, answer in LibreTranslate's shape."""

import asyncio
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from translator.errors import TranslatorError
from translator.inspection import inspect_sentence
from translator.inspection.page import attention_page
from translator.inspection.page.encoding import encode_maps
from translator.runtime.console import warn
from translator.serving.admission import Admission
from translator.serving.documents import Look, look_into_document, open_document
from translator.serving.fields import AttentionFields, DetectFields, FileFields, TranslateFields, check_fields
from translator.serving.models import Models
from translator.serving.options import ServerOptions
from translator.serving.refusals import RETRY_SECONDS, DocumentError, RequestError, overloaded, too_large
from translator.serving.text_translation import TextTranslation
from translator.serving.texts import alignment_of, characters_of, score_of
from translator.serving.translated_files import TranslatedFiles
from translator.text.languages import same_language

_MOST_INSPECTIONS = 4
"""Requests for attention that may wait at once; each keeps a thread busy."""


class Service:
    """What the server does for its clients."""

    def __init__(self, options: ServerOptions, models: Models, admission: Admission) -> None:
        self.limits, self._models, self._admission = options.limits, models, admission
        self._translation = TextTranslation(models)
        self._files = TranslatedFiles(options.files)
        self._inspections = 0

    async def translate(self, request: Request) -> Response:
        """`POST /translate`."""
        asked = check_fields(TranslateFields, await self._admission.fields_of(request))
        texts = asked.q if isinstance(asked.q, list) else [asked.q]
        self._check_size([*texts, asked.prefix] if asked.prefix else texts, asked.alternatives)
        markup = "html" if asked.format == "html" else "none"
        found, translated = await self._translation.translate(request, texts, asked, markup)
        answer: dict[str, Any] = {"translatedText": [own.texts[0] for own in translated]}
        if asked.alternatives:
            answer["alternatives"] = [list(own.texts[1 : 1 + asked.alternatives]) for own in translated]
        if asked.source == "auto":
            answer["detectedLanguage"] = [own._asdict() for own in found]
        if asked.alignment:
            answer["alignment"] = [[alignment_of(line) for line in own.lines] for own in translated]
        if asked.characters:
            answer["characters"] = [[characters_of(line) for line in own.lines] for own in translated]
        if asked.scores:
            answer["scores"] = [[score_of(line) for line in own.lines] for own in translated]
        if isinstance(asked.q, str):
            answer = {name: values[0] for name, values in answer.items()}
        return JSONResponse(answer)

    async def detect(self, request: Request) -> Response:
        """`POST /detect`."""
        asked = check_fields(DetectFields, await self._admission.fields_of(request))
        self._check_size([asked.q])
        return JSONResponse([own._asdict() for own in self._models.directions.detector.rank(asked.q)])

    async def translate_file(self, request: Request) -> Response:
        """`POST /translate_file`: answers where the translated file can be fetched."""
        fields = await self._admission.fields_of(request)
        asked = check_fields(FileFields, fields)
        file = fields.get("file")
        if not isinstance(file, tuple):
            raise RequestError(400, "Invalid request: missing file parameter, a file in multipart/form-data")
        name, data = file
        if len(data) > self.limits.file_bytes:
            raise too_large(f"The file is larger than {self.limits.file_bytes:,} bytes")
        source = asked.source
        try:
            if source == "auto":
                source = self._source_of(await asyncio.to_thread(look_into_document, name, data), asked.target)
            # Documents are read and written in threads, so that a large one holds nobody up.
            texts, markup, rebuild = await asyncio.to_thread(open_document, name, data, source, asked.target)
        except DocumentError as error:
            raise RequestError(400, f"{name[:80]}: {error}") from None
        self._check_size(texts)
        own = TranslateFields.model_validate({"q": texts, "source": source, "target": asked.target})
        _, translated = await self._translation.translate(request, texts, own, markup)
        ending = name[name.rfind(".") :].lower()
        written = await asyncio.to_thread(rebuild, [text.texts[0] for text in translated])
        try:
            kept = await asyncio.to_thread(self._files.add, written, ending)
        except OSError as error:
            warn(f"a translated file cannot be kept: {error}")
            raise RequestError(503, "The translated file cannot be kept", RETRY_SECONDS) from None
        return JSONResponse({"translatedFileUrl": str(request.url_for("download_file", name=kept))})

    async def download_file(self, request: Request) -> Response:
        """`GET /download_file/NAME`."""
        name = str(request.path_params["name"])
        path = self._files.find(name)
        if path is None:
            raise RequestError(404, "There is no such file; translated files are kept for ten minutes")
        return FileResponse(path, media_type="application/octet-stream", filename=f"translated{path.suffix}")

    async def attention(self, request: Request) -> Response:
        """`POST /attention`: where every head looks, as the inspector's page or as its data."""
        asked = check_fields(AttentionFields, await self._admission.fields_of(request))
        longest, most = max(len(asked.q), len(asked.translation or "")), self.limits.attention_characters
        if most and longest > most:
            raise too_large(f"The sentence has {longest:,} characters; the limit for attention is {most:,}")
        direction, _ = self._models.directions.find(asked.q, asked.source, asked.target)
        if direction is None:
            raise RequestError(400, f"{asked.target} is not supported")
        if self._inspections >= _MOST_INSPECTIONS:
            raise overloaded()
        self._inspections += 1
        model = direction.model
        to = model.options(direction.target).to
        try:
            maps = await asyncio.to_thread(
                partial(inspect_sentence, model.translator, asked.q, asked.translation, to=to)
            )
        except TranslatorError as error:
            raise RequestError(400, str(error)) from None
        finally:
            self._inspections -= 1
        if asked.format == "json":
            return JSONResponse(encode_maps(maps))
        # The page has a policy of its own, and only our own page may show it in a frame.
        return HTMLResponse(attention_page(maps), headers={"Content-Security-Policy": "frame-ancestors 'self'"})

    def _source_of(self, look: Look, target: str) -> str:
        """Return the language of a file: one that it states and that can be translated, or what its text looks like."""
        directions = self._models.directions
        sources = directions.sources_of(target)
        stated = (own for code in look.stated for own in sources if same_language(own, code))
        return next(stated, None) or directions.find(look.sample, "auto", target)[1].language

    def _check_size(self, texts: list[str], alternatives: int = 0) -> None:
        limits = self.limits
        characters, lines = sum(map(len, texts)), sum(text.count("\n") + 1 for text in texts)
        if limits.characters and characters > limits.characters:
            raise too_large(f"The request has {characters:,} characters; the limit is {limits.characters:,}")
        if limits.lines and lines > limits.lines:
            raise too_large(f"The request has {lines:,} lines; the limit is {limits.lines:,}")
        if alternatives > limits.alternatives:
            raise RequestError(400, f"alternatives: found {alternatives}, expected at most {limits.alternatives}")
