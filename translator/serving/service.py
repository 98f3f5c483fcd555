"""What the routes do: read the fields, admit the request, translate, answer in LibreTranslate's shape."""

import asyncio
import re
from collections.abc import Awaitable
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response

from translator.config.decoding_rules import PROTECTED
from translator.errors import TranslatorError
from translator.inspection import inspect_sentence
from translator.inspection.page import attention_page
from translator.inspection.page.encoding import encode_maps
from translator.serving.admission import Admission
from translator.serving.batcher import QueueFullError, StoppedError
from translator.serving.detection import Detected, Detector
from translator.serving.documents import FORMATS, DocumentError, open_document
from translator.serving.fields import (
    AttentionFields,
    DetectFields,
    FileFields,
    RequestError,
    TranslateFields,
    check_fields,
    read_fields,
)
from translator.serving.metrics import Metrics
from translator.serving.models import Models, ServedModel
from translator.serving.options import ServerOptions
from translator.serving.texts import MarkedText, PlainText, TranslatedText, alignment_of, characters_of, score_of
from translator.serving.translated_files import TranslatedFiles
from translator.serving.workers import ask_parent_to_reload
from translator.text.languages import same_language
from translator.translation import TranslatedLine
from translator.translation.markup import Marking

RETRY_SECONDS = 1
_MOST_INSPECTIONS = 4
"""Requests for attention that may wait at once; each keeps a thread busy."""
Result = TypeVar("Result")


class Service:
    """The server without its routes."""

    def __init__(self, options: ServerOptions, models: Models, admission: Admission, metrics: Metrics) -> None:
        self.options, self.limits = options, options.limits
        self.models, self.admission, self.metrics = models, admission, metrics
        self._files = TranslatedFiles(options.files)
        self._detector = Detector(models.codes())
        self._inspections = 0
        # The longest character has four bytes.
        longest = 4 * self.limits.characters or self.limits.body_bytes
        self._most_file_bytes = min(longest, self.limits.body_bytes)

    async def translate(self, request: Request) -> Response:
        """`POST /translate`."""
        asked = check_fields(TranslateFields, await self._admitted(request))
        texts = asked.q if isinstance(asked.q, list) else [asked.q]
        self._check_size([*texts, asked.prefix] if asked.prefix else texts, asked.alternatives)
        found, translated = await self._translated(request, texts, asked)
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
        asked = check_fields(DetectFields, await self._admitted(request))
        self._check_size([asked.q])
        return JSONResponse([own._asdict() for own in self._detector.rank(asked.q)])

    async def translate_file(self, request: Request) -> Response:
        """`POST /translate_file`: answers where the translated file can be fetched."""
        fields = await self._admitted(request)
        asked = check_fields(FileFields, fields)
        file = fields.get("file")
        if not isinstance(file, tuple):
            raise RequestError(400, "Invalid request: missing file parameter, a file in multipart/form-data")
        name, data = file
        if len(data) > self._most_file_bytes:
            raise self._too_large(f"The file is larger than {self._most_file_bytes:,} bytes")
        source = asked.source
        if source == "auto":
            source = self._direction(data[:4000].decode("utf-8", "ignore"), "auto", asked.target)[1].language
        try:
            texts, form, rebuild = open_document(name, data, source, asked.target)
        except DocumentError as error:
            raise RequestError(400, f"{name[:80]}: {error}") from None
        self._check_size(texts)
        own = TranslateFields.model_validate({"q": texts, "source": source, "target": asked.target, "format": form})
        _, translated = await self._translated(request, texts, own)
        ending = name[name.rfind(".") :].lower()
        kept = self._files.add(rebuild([text.texts[0] for text in translated]), ending)
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
        asked = check_fields(AttentionFields, await self._admitted(request))
        longest, most = max(len(asked.q), len(asked.translation or "")), self.limits.attention_characters
        if most and longest > most:
            raise self._too_large(f"The sentence has {longest:,} characters; the limit for attention is {most:,}")
        model, _ = self._direction(asked.q, asked.source, asked.target)
        if model is None:
            raise RequestError(400, f"{asked.target} is not supported")
        if self._inspections >= _MOST_INSPECTIONS:
            raise self._overloaded()
        self._inspections += 1
        to = model.options(self._target_of(model, asked.target)).to
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

    async def languages(self, request: Request) -> Response:
        """`GET` and `POST /languages`."""
        return JSONResponse(self.models.languages())

    async def model_list(self, request: Request) -> Response:
        """`GET /models`: what each model is."""
        return JSONResponse([model.information for model in self.models.models])

    async def frontend_settings(self, request: Request) -> Response:
        """`GET /frontend/settings`: what a page needs to know."""
        by_code = {own["code"]: own for own in self.models.languages()}
        first = self.models.models[0]
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
                "fileBytesLimit": self._most_file_bytes,
                "language": {
                    name: {"code": own["code"], "name": own["name"]} for name, own in pair.items()
                },
            }
        )  # fmt: skip

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        return JSONResponse({"status": "ok"})

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
        await self._admitted(request)
        if self.options.workers > 1:
            ask_parent_to_reload()
            return JSONResponse({"status": "reloading"}, status_code=202)
        try:
            changed = await asyncio.to_thread(self.models.reload)
        except TranslatorError as error:
            raise RequestError(503, f"The models stay as they are: {error}", RETRY_SECONDS) from None
        return JSONResponse({"status": "reloaded", "changed": changed})

    async def _admitted(self, request: Request) -> dict[str, Any]:
        fields = await read_fields(request, self.limits)
        self.admission.admit(request, fields.get("api_key"))
        return fields

    async def _translated(
        self, request: Request, texts: list[str], asked: TranslateFields
    ) -> tuple[list[Detected], list[TranslatedText]]:
        """Translate texts, each with the model of its language; return those languages, too."""
        for attempt in (1, 2):
            try:
                return await _unless_gone(request, self._translate_texts(texts, asked))
            except StoppedError:
                # The models were replaced at this moment.
                if attempt == 2:
                    raise self._overloaded() from None
            except QueueFullError:
                raise self._overloaded() from None
            except TranslatorError as error:
                raise RequestError(400, str(error)) from None
        raise AssertionError("the loop returns or raises")

    async def _translate_texts(
        self, texts: list[str], asked: TranslateFields
    ) -> tuple[list[Detected], list[TranslatedText]]:
        found = [self._direction(text, asked.source, asked.target) for text in texts]
        marking = Marking("html" if asked.format == "html" else "none", _patterns(asked.protect))
        results: list[TranslatedText | None] = [None] * len(texts)

        async def translate_with(model: ServedModel, indices: list[int]) -> None:
            own = marking._replace(protect=(*model.settings.protect, *marking.protect))
            is_marked = own != Marking()
            if asked.prefix and (is_marked or any("\n" in texts[index] for index in indices)):
                raise RequestError(400, "prefix: expected texts of one line, the format text, and nothing to protect")
            made = [
                MarkedText(texts[index], own) if is_marked else PlainText(texts[index], asked.prefix)
                for index in indices
            ]
            options = model.options(
                self._target_of(model, asked.target), n_best=asked.alternatives + 1, is_segment=is_marked,
                with_alignment=is_marked or asked.alignment or asked.characters, with_scores=asked.scores,
                glossary=tuple(asked.glossary.items()),
            )  # fmt: skip
            lines = [line for text in made for line in text.lines]
            answers = iter(await model.batcher.translate(lines, options))
            for index, text in zip(indices, made, strict=True):
                results[index] = text.joined([next(answers) for _ in text.lines])

        by_model: dict[int, tuple[ServedModel, list[int]]] = {}
        for index, (model, _) in enumerate(found):
            if model is None:
                results[index] = _unchanged(texts[index])
            else:
                by_model.setdefault(id(model), (model, []))[1].append(index)
        await asyncio.gather(*(translate_with(model, indices) for model, indices in by_model.values()))
        return [detected for _, detected in found], [own for own in results if own is not None]

    def _direction(self, text: str, source: str, target: str) -> tuple[ServedModel | None, Detected]:
        """Return the model for a text, None if it is in the target language already, and the source language."""
        known = self.models.codes()
        if not any(same_language(own, target) for own in known):
            raise RequestError(400, f"{target[:40]} is not supported; expected one of {', '.join(known)}")
        detected = Detected(source, 100.0)
        if source == "auto":
            among = [*self.models.sources_of(target), *(own for own in known if same_language(own, target))]
            detected = self._detector.rank(text, among)[0]
        elif not any(same_language(own, source) for own in known):
            raise RequestError(400, f"{source[:40]} is not supported; expected auto or one of {', '.join(known)}")
        model = self.models.find(detected.language, target)
        if model is None and not same_language(detected.language, target):
            raise RequestError(400, f"{target[:40]} is not available as a target language from {source[:40]}")
        return model, detected

    def _target_of(self, model: ServedModel, target: str) -> str:
        return next((own for own in model.targets if own == target), None) or next(
            own for own in model.targets if same_language(own, target)
        )

    def _check_size(self, texts: list[str], alternatives: int = 0) -> None:
        limits = self.limits
        characters, lines = sum(map(len, texts)), sum(text.count("\n") + 1 for text in texts)
        if limits.characters and characters > limits.characters:
            raise self._too_large(f"The request has {characters:,} characters; the limit is {limits.characters:,}")
        if limits.lines and lines > limits.lines:
            raise self._too_large(f"The request has {lines:,} lines; the limit is {limits.lines:,}")
        if alternatives > limits.alternatives:
            raise RequestError(400, f"alternatives: found {alternatives}, expected at most {limits.alternatives}")

    def _too_large(self, message: str) -> RequestError:
        self.metrics.count_rejected("size")
        return RequestError(413, message)

    def _overloaded(self) -> RequestError:
        self.metrics.count_rejected("queue")
        return RequestError(503, "The server is busy; try again", RETRY_SECONDS)


async def _unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """Do work for a client, and give it up if the client hangs up."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise RequestError(400, "The client has hung up")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


def _patterns(protect: list[str]) -> tuple[str, ...]:
    """Kinds stay as they are; any other text means itself: a regular expression of a client could take for ever."""
    return tuple(text if text in PROTECTED else re.escape(text) for text in protect if text.strip())


def _unchanged(text: str) -> TranslatedText:
    return TranslatedText((text,), [TranslatedLine(line, ()) for line in text.split("\n")])
