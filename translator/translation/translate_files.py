"""Files of lines in, a stream or a file of translations out: what `translator translate` does."""

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from translator.config import DecodingSettings
from translator.decoding.distributed import SharedEngine
from translator.decoding.engine import Engine
from translator.distributed.world import World
from translator.errors import ConfigError, TranslatorError
from translator.runtime.console import ResultStream, progress, say
from translator.runtime.counted import counted
from translator.runtime.outputs import OutputStream, check_output, is_stream
from translator.text import InputLines, count_lines
from translator.text.input_lines import blocks_of
from translator.translation.constrained_line import ConstrainedLine, read_json_line
from translator.translation.engine_choice import CTRANSLATE2
from translator.translation.glossary import Glossary
from translator.translation.result import format_translations
from translator.translation.resumable_output import Output, ResumableOutput, open_output
from translator.translation.translator import Translator

INPUT_FORMATS = ("text", "jsonl")


def translate_inputs(
    translator: Translator,
    inputs: Sequence[tuple[str, BinaryIO]],
    settings: DecodingSettings,
    *,
    output: Path | None = None,
    form: str = "text",
    input_form: str = "text",
    glossary: Glossary | None = None,
    markup: str = "none",
    to: str | None = None,
    world: World | None = None,
) -> None:
    """Translate the lines of `inputs` (names and streams), in order, to a file or, by default, to stdout.

    Translations are written as soon as they are ready. A file continues where an earlier call with the same arguments
    was interrupted. `form` is one of `FORMATS`, `input_form` one of `INPUT_FORMATS`: `jsonl` lines are read by
    `read_json_line`. `markup` is one of `MARKUPS`. All processes of a `world` must call this; only the main
    one reads and writes. Raises `ConfigError`, before any work, for what cannot be done, and `TranslatorError` if the
    number of translated lines is not that of the lines that were read, which would be a bug.
    """
    if form == "text" and settings.n_best > 1:
        raise ConfigError(
            [
                f"decoding.n_best: text has one translation a line, found {settings.n_best}; choose --format tsv or "
                "jsonl, or n_best=1"
            ]
        )
    world = world or World()
    constrained = input_form == "jsonl" or glossary is not None
    shared = SharedEngine(world, _one_engine(translator, settings, constrained)) if world.size > 1 else None
    if shared is not None and not world.is_main:
        shared.serve()
        return
    source = InputLines(inputs, refuse=settings.invalid_utf8 == "refuse")
    lines = iter(source)
    unanswered: deque[str] = deque()

    def wanted() -> Iterator[str | ConstrainedLine]:
        for line in lines:
            unanswered.append(line)
            yield read_json_line(line, source.where) if input_form == "jsonl" else line

    made_with = partial(_made_with, translator, settings, form, to, input_form, glossary, markup)
    with _opened(output, lines, made_with) as destination:
        if destination.lines:
            say(f"resuming {output} after line {destination.lines:,}")
        with _bar(inputs, output, destination.lines) as on_progress:
            translated = translator.translate_blocks(
                blocks_of(wanted(), waits=source.waits), settings, to=to, engine=shared,
                glossary=glossary, markup=markup, lines_choose=input_form == "jsonl",
                with_scores=form != "text", with_alignment=form == "jsonl", on_progress=on_progress,
                first=destination.lines + 1,
            )  # fmt: skip
            for line in translated:
                destination.write(unanswered.popleft(), format_translations(line, destination.lines + 1, form))
                if destination.lines == source.count:
                    # Everything that was read is answered, and whoever writes the next line may be waiting for that.
                    destination.flush()
        if destination.lines != source.count:
            raise TranslatorError(
                f"{counted(source.count, 'line was', 'lines were')} read, but {destination.lines:,} translated; this "
                "is a bug"
            )
    if shared is not None:
        shared.close()


@contextlib.contextmanager
def _opened(
    output: Path | None, lines: Iterator[str], made_with: Callable[[], dict[str, Any]]
) -> Iterator[Output | ResumableOutput]:
    if output is None:
        stream = ResultStream()
        yield Output(stream)
        stream.flush()
        return
    if is_stream(output):
        with contextlib.closing(OutputStream(output)) as pipe:
            yield Output(pipe)
        return
    check_output(output, makes_parents=False)
    with open_output(output, made_with()) as file:
        file.resume(lines)
        yield file


@contextlib.contextmanager
def _bar(
    inputs: Sequence[tuple[str, BinaryIO]], output: Path | None, done: int
) -> Iterator[Callable[[int], None] | None]:
    """Show progress, with the time left if the inputs are files; not on a terminal that shows the translations."""
    if output is None and sys.stdout.isatty():
        yield None
        return
    counts = [count_lines(Path(name)) for name, _ in inputs]
    total = sum(count for count in counts if count is not None) if None not in counts else None
    with progress(description="translating", unit="lines", total=total, initial=done) as bar:
        yield bar.update


def _one_engine(translator: Translator, settings: DecodingSettings, constrained: bool) -> Engine:
    """Return the engine that all lines share; it must be able to do what lines may ask for."""
    if constrained and translator.engine_for.wanted != CTRANSLATE2:
        return translator.engine_for.for_phrases(settings, banned=True, required=True)
    return translator.engine_for(settings)


def _made_with(
    translator: Translator,
    settings: DecodingSettings,
    form: str,
    to: str | None,
    input_form: str,
    glossary: Glossary | None,
    markup: str,
) -> dict[str, Any]:
    """Return everything that the translation of a line depends on."""
    runs = [f"{bundle.directory.resolve()} ({bundle.weights}, step {bundle.step})" for bundle in translator.bundles]
    digests = [bundle.digest for bundle in translator.bundles]
    machine = {"engine": translator.engine_for(settings).name, "machine": translator.bundle.machine.precision}
    constraints = {
        **({"markup": markup} if markup != "none" else {}),
        **({"input_format": input_form} if input_form != "text" else {}),
        **({"glossary": glossary.digest} if glossary is not None else {}),
    }
    return {
        "runs": runs,
        "weights_and_vocabulary": digests,
        **machine,
        "format": form,
        "to": to,
        **constraints,
        **settings.model_dump(mode="json"),
    }
