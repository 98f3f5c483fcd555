"""`translator translate`: lines in, lines out."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, Run, To, Weights, open_inputs


def translate(
    run: Run,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Text; by default stdin (also `-`).")
    ] = None,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate lines from files or stdin to stdout: as many out as in, in order."""
    from translator.checkpoints import load_bundle
    from translator.decoding import (
        decode_lines,
        read_call_settings,
        replace_stated,
        stated_machine,
        translate_lines,
    )
    from translator.runtime.console import progress

    call = read_call_settings(settings or [])
    inputs = open_inputs(files)
    bundle = load_bundle(run, weights=weights, **stated_machine(call))
    decoding = replace_stated(bundle.config.decoding, call)
    # A bar would cut into translations that appear on the same screen.
    on_screen = sys.stdout.isatty()
    with nullcontext() if on_screen else progress(description="translating", unit="line") as bar:
        for name, stream in inputs:
            # Somebody who types lines waits for each of them.
            window = 1 if stream.isatty() else None
            on_progress = None if bar is None else bar.update
            lines = decode_lines(stream, name)
            for line in translate_lines(bundle, lines, decoding, on_progress, to=to, window=window):
                sys.stdout.buffer.write(line.encode("utf-8") + b"\n")
                sys.stdout.buffer.flush()
