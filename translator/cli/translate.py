"""`translator translate`: lines in, lines out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translator.cli.arguments import (
    CallSettings,
    EngineChoice,
    EngineName,
    Form,
    Run,
    To,
    TogetherWith,
    Weights,
    open_inputs,
)

if TYPE_CHECKING:
    from translator.distributed.world import World


def translate(
    run: Run,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Text; by default stdin (also `-`).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File instead of stdout; complete if it exists. The same command goes on with an interrupted one.",
        ),
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="text: the best translation; tsv: line, rank, score, log-probability and text of each; "
            "jsonl: pieces, alignment, time and warnings too.",
        ),
    ] = Form.text,
    together_with: TogetherWith = None,
    engine: EngineName = EngineChoice.native,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate lines from files or stdin: as many out as in, in order."""
    from translator.config import read_call_settings, replace_stated, stated_machine
    from translator.distributed.launch import is_worker, launch
    from translator.translation import Translator, translate_inputs

    call = read_call_settings(settings or [])
    if call.devices > 1 and not is_worker():
        raise typer.Exit(launch(call.devices, call.device, ["-m", "translator", *sys.argv[1:]]))

    from translator.distributed.world import join_world

    with join_world() as world:
        inputs = open_inputs(files) if world.is_main else []
        _take_device(world, call.device)
        translator = Translator.load(
            run, together_with=together_with or [], engine=engine.value, weights=weights, **stated_machine(call)
        )
        replaced = replace_stated(translator.settings, call)
        translate_inputs(translator, inputs, replaced, output=output, form=form.value, to=to, world=world)


def _take_device(world: "World", device: str) -> None:
    import torch

    if world.size > 1 and device != "cpu" and torch.cuda.is_available():
        world.device("cuda")
