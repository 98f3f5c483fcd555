"""`translator attention`: where every head looks in a sentence: a page, a picture, numbers, links or a printed map."""

import os
import sys
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from translator.cli.arguments import CallSettings, Run, To, Weights, check_results

if TYPE_CHECKING:
    from translator.config import Head
    from translator.inspection import AttentionMaps

_PAGE = ".html"


class Shown(StrEnum):
    """What is printed."""

    map = "map"
    alignment = "alignment"


def attention(
    run: Run,
    sentence: Annotated[str, typer.Argument(metavar="SENTENCE", help="Source sentence; - reads a line from stdin.")],
    target: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Its translation; by default the model translates.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="By its ending a page (.html), a picture (.png, .svg, .pdf) or numbers (.npz, .json; `pydoc "
            "translator.inspection.numbers` has their layout); attention.html by default.",
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What a picture or --print shows: a head (cross.2.1), a layer (cross.2), a kind (encoder, decoder, "
            "cross), all, or best: the head that alignments come from.",
        ),
    ] = None,
    shown: Annotated[
        Shown | None,
        typer.Option(
            "--print",
            help="Print a map of one head, or its alignment of words (Pharaoh, 0-0 1-2), the best head's by default; "
            "a file is written only with --output.",
        ),
    ] = None,
    checkpoints: Annotated[
        bool,
        typer.Option("--checkpoints", help="Give the page a slider through the run's checkpoints."),
    ] = False,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate a sentence, show where every head looks in the pair, and print where the file is."""
    from translator.runtime.console import print_result, say
    from translator.runtime.figures import PICTURES, require_matplotlib

    output = output or (None if shown else Path(f"attention{_PAGE}"))
    in_picture = output is not None and output.suffix.lower() in PICTURES
    if head is not None and not shown and not in_picture:
        raise typer.BadParameter("it chooses what a picture or --print shows; give one of them", param_hint="--head")
    if checkpoints and (output is None or output.suffix.lower() != _PAGE):
        raise typer.BadParameter("only a page (.html) has a slider", param_hint="--checkpoints")
    if output is not None:
        check_results(output, (_PAGE, *PICTURES, ".npz", ".json"), runs=[run])
    if in_picture:
        require_matplotlib()

    from translator.config import read_call_settings, stated_machine
    from translator.inspection import inspect_sentence
    from translator.inspection.labels import readable
    from translator.inspection.maps import heads_to_show
    from translator.inspection.parts import parse_part
    from translator.translation import Translator

    call = read_call_settings(settings or [])
    if head not in (None, "best"):
        parse_part(head or "")
    text = _first_line() if sentence == "-" else sentence
    translator = Translator.load(run, engine="native", weights=weights, **stated_machine(call))
    decoding = {name: getattr(call.decoding, name) for name in call.decoding.model_fields_set}
    heads = heads_to_show(translator.bundle, head, shown.value if shown else None, decoding.get("alignment"))
    maps = inspect_sentence(translator, text, target, to=to, **decoding)
    if target is None:
        say(readable(maps.target_text))
    if shown:
        print_result(_printed(maps, heads[0], shown), styled=True)
    if output is not None:
        through = None
        if checkpoints:
            # Other pieces may spell what was decoded: all weights read the pieces that the tokenizer makes of the text.
            maps = inspect_sentence(translator, text, maps.target_text, to=to, **decoding)
            through = _through_training(run, maps, to, decoding, stated_machine(call))
        path = _write(maps, output, heads[0] if head == "best" else head, through)
        say(f"written to {path}") if shown else print_result(path)


def _first_line() -> str:
    from translator.text import decode_lines
    from translator.text.input_lines import standard_input
    from translator.text.raw_lines import bounded_lines

    return "".join(decode_lines(islice(bounded_lines(standard_input()), 1), "stdin"))


def _printed(maps: "AttentionMaps", head: "Head", shown: Shown) -> str:
    from translator.inspection.links import alignment_of
    from translator.inspection.terminal import terminal_map

    if shown is Shown.alignment:
        return alignment_of(maps, head)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return terminal_map(maps, head, colour=not plain, encoding=sys.stdout.encoding or "ascii")


def _through_training(
    run: Path, maps: "AttentionMaps", to: str | None, decoding: dict[str, Any], machine: dict[str, Any]
) -> "dict[int, AttentionMaps]":
    """Return the maps of the same pair of sentences at every checkpoint of the run."""
    from translator.inspection import inspect_sentence
    from translator.inspection.history import load_checkpoints

    return {
        translator.bundle.step: inspect_sentence(translator, maps.source_text, maps.target_text, to=to, **decoding)
        for translator in load_checkpoints(run, 1, **machine)
    }


def _write(
    maps: "AttentionMaps", path: Path, part: "Head | str | None", checkpoints: "dict[int, AttentionMaps] | None"
) -> Path:
    """Write what the ending of `path` says."""
    from translator.inspection.numbers import NUMBERS, write_numbers
    from translator.inspection.page import attention_page
    from translator.inspection.pictures import draw_attention
    from translator.runtime.outputs import write_output

    ending = path.suffix.lower()
    if ending in NUMBERS:
        return write_numbers(maps, path)
    if ending == _PAGE:
        return write_output(path, attention_page(maps, checkpoints).encode("utf-8"))
    return draw_attention(maps, path, None if part is None else str(part))
