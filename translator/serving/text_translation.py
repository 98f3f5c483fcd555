"""The texts of a request, translated: each with the model of its language, together with those of other requests."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Message

from translator.config.decoding_rules import PROTECTED
from translator.errors import ConfigError, TranslatorError
from translator.serving.batcher import QueueFullError, StoppedError
from translator.serving.detection import Detected
from translator.serving.directions import Direction
from translator.serving.fields import TranslateFields
from translator.serving.models import Models
from translator.serving.refusals import RequestError, overloaded
from translator.serving.texts import MarkedText, PlainText, TranslatedText, sample_of
from translator.translation import TranslatedLine
from translator.translation.markup import Marking

_LONG_TEXT = 10_000
"""Characters from which texts with markup are taken apart and put together in a thread: a megabyte of HTML takes
seconds, for which no other request would be read."""
_SHORT_SECONDS = 0.25
Result = TypeVar("Result")


class TextTranslation:
    """Translates texts with the models of a server."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def translate(
        self, request: Request, texts: list[str], asked: TranslateFields, markup: str
    ) -> tuple[list[Detected], list[TranslatedText]]:
        """Translate texts, each with the model of its language; return those languages, too.

        `markup` is that of the texts (`Marking.markup`), whatever format was asked for.
        """
        for attempt in (1, 2):
            try:
                return await _unless_gone(request, self._translate(texts, asked, markup))
            except StoppedError:
                # The models were replaced at this moment.
                if attempt == 2:
                    raise overloaded() from None
            except QueueFullError:
                raise overloaded() from None
            except ConfigError as error:
                raise RequestError(400, "; ".join(error.problems)) from None
            except TranslatorError as error:
                raise RequestError(400, str(error)) from None
        raise AssertionError("the loop returns or raises")

    async def _translate(
        self, texts: list[str], asked: TranslateFields, markup: str
    ) -> tuple[list[Detected], list[TranslatedText]]:
        # Tags and styles are in no language.
        samples = texts
        if asked.source == "auto" and markup != "none":
            samples = await _run(
                lambda: [sample_of([text], markup) for text in texts], in_thread=sum(map(len, texts)) > _LONG_TEXT
            )
        directions = self._models.directions
        found = [directions.find(sample, asked.source, asked.target) for sample in samples]
        marking = Marking(markup, _patterns(asked.protect))
        results: list[TranslatedText | None] = [None] * len(texts)

        async def translate_with(direction: Direction, indices: list[int]) -> None:
            model = direction.model
            own = marking._replace(protect=(*model.settings.protect, *marking.protect))
            is_marked = own != Marking()
            is_long = is_marked and sum(len(texts[index]) for index in indices) > _LONG_TEXT
            if asked.prefix and (is_marked or any("\n" in texts[index] for index in indices)):
                raise RequestError(400, "prefix: expected texts of one line, the format text, and nothing to protect")
            made = await _run(
                lambda: [
                    MarkedText(texts[index], own) if is_marked else PlainText(texts[index], asked.prefix)
                    for index in indices
                ],
                in_thread=is_long,
            )
            options = model.options(
                direction.target, n_best=asked.alternatives + 1, is_segment=is_marked,
                with_alignment=is_marked or asked.alignment or asked.characters, with_scores=asked.scores,
                glossary=tuple(asked.glossary.items()),
            )  # fmt: skip
            lines = [line for text in made for line in text.lines]
            answers = iter(await model.batcher.translate(lines, options))
            joined = await _run(
                lambda: [text.joined([next(answers) for _ in text.lines]) for text in made], in_thread=is_long
            )
            for index, text in zip(indices, joined, strict=True):
                results[index] = text

        by_direction: dict[Direction, list[int]] = {}
        for index, (direction, _) in enumerate(found):
            if direction is None:
                results[index] = _unchanged(texts[index])
            else:
                by_direction.setdefault(direction, []).append(index)
        if len(by_direction) == 1:  # Nearly always, and then without another task.
            await translate_with(*next(iter(by_direction.items())))
        else:
            await asyncio.gather(*(translate_with(*own) for own in by_direction.items()))
        return [detected for _, detected in found], [own for own in results if own is not None]


async def _run(work: Callable[[], Result], *, in_thread: bool) -> Result:
    return await asyncio.to_thread(work) if in_thread else work()


async def _unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """Do work for a client, and give it up if the client hangs up, which is not looked for while the work is short."""
    task = asyncio.ensure_future(work)
    gone: asyncio.Future[Message] | None = None
    try:
        await asyncio.wait({task}, timeout=_SHORT_SECONDS)
        if not task.done():
            gone = asyncio.ensure_future(request.receive())
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise RequestError(400, "The client has hung up")
        return task.result()
    finally:
        task.cancel()
        if gone is not None:
            gone.cancel()


def _patterns(protect: list[str]) -> tuple[str, ...]:
    """Kinds stay as they are; any other text means itself: a regular expression of a client could take for ever."""
    return tuple(text if text in PROTECTED else re.escape(text) for text in protect if text.strip())


def _unchanged(text: str) -> TranslatedText:
    return TranslatedText((text,), [TranslatedLine(line, ()) for line in text.split("\n")])
