"""Lines in, lines out: as many and in the same order, whatever they hold."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from translator.config import DecodingSettings
from translator.decoding.engine import translate_ids
from translator.decoding.steps import Steps, TransformerSteps
from translator.runtime.console import warn
from translator.text import choose_tag, describe_lines, with_tag

if TYPE_CHECKING:
    from translator.checkpoints import Bundle
    from translator.text import TokenizerPair

FIRST_WINDOW = 64
"""Lines of the first window: few, so that the first translations appear soon."""
LARGEST_WINDOW = 4096
"""Lines that are sorted by length together at most; they bound the memory."""


def translate_lines(
    bundle: "Bundle",
    lines: Iterable[str],
    settings: DecodingSettings,
    on_progress: Callable[[int], None] | None = None,
    *,
    to: str | None = None,
    window: int | None = None,
) -> Iterator[str]:
    """Translate every line; yield as many lines, in order, none of which holds a `\\n`.

    A blank line comes back as it is and a `\\r` at the end of a line stays there; neither reaches the model.
    Lines that are too long for the model are cut, with one warning that names them. `on_progress` hears the
    number of lines finished since the last call. Lines are read `window` at a time and come back when all of
    them are translated; by default the windows grow. `to` is the language to translate into, for a model with
    language tags; raises `ConfigError` at once where it is missing or not one of the model's.
    """
    tag = choose_tag(bundle.tokenizers.source, bundle.config.data.language_tags, to, str(bundle.directory))
    steps = TransformerSteps.of(bundle)
    return translate_with(steps, bundle.tokenizers, lines, settings, tag=tag, window=window, on_progress=on_progress)


def translate_with(
    steps: Steps,
    tokenizers: "TokenizerPair",
    lines: Iterable[str],
    settings: DecodingSettings,
    *,
    tag: int | None = None,
    longest_source: int | None = None,
    window: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[str]:
    """Translate lines over any step function; see `translate_lines`.

    `tag` is a piece that every source begins with; `longest_source` is the number of pieces that fit, the tag
    among them (by default `steps.max_length`).
    """
    longest = steps.max_length if longest_source is None else longest_source
    cut: list[int] = []
    number = 0
    for block in _windows(iter(lines), window):
        contents = [_content(line) for line in block]
        sources = with_tag(tokenizers.source.encode(contents), tag)
        for place, source in enumerate(sources):
            if longest is not None and len(source) > longest:
                sources[place] = source[:longest]
                cut.append(number + place + 1)
        targets = translate_ids(steps, sources, settings)
        for line, content, target in zip(block, contents, targets, strict=True):
            yield _framed(line, content, tokenizers.target.decode(target) if target else "")
        number += len(block)
        if on_progress is not None:
            on_progress(len(block))
    if cut:
        warn(f"{describe_lines(cut)} longer than {longest} pieces, the model's limit; the rest was left out")


def _windows(lines: Iterator[str], size: int | None) -> Iterator[list[str]]:
    count = size or FIRST_WINDOW
    while block := list(itertools.islice(lines, count)):
        yield block
        count = size or min(2 * count, LARGEST_WINDOW)


def _content(line: str) -> str:
    """Return what of a line the model should see; nothing of a blank one."""
    line = line.removesuffix("\n")
    if not line.strip():
        return ""
    # A lone surrogate (a half character from another program) has no UTF-8 form that a tokenizer could read.
    return line.removesuffix("\r").encode("utf-8", "replace").decode("utf-8")


def _framed(line: str, content: str, translation: str) -> str:
    line = line.removesuffix("\n")
    if not content:
        return line.replace("\n", " ")
    ending = "\r" if line.endswith("\r") else ""
    # A model that spells in bytes can write any character, the one that ends a line included.
    return translation.replace("\n", " ") + ending
