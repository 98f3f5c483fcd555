"""`translator heads`: what every head attends to and how much it matters."""

from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, Run, To, Weights, check_results


def heads(
    run: Run,
    source: Annotated[Path, typer.Option(metavar="FILE", help="Source text; a few hundred lines are enough.")],
    reference: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line by line.")],
    alignment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Known word alignment (Pharaoh, 0-0 1-2), to count how often a head is right."
        ),
    ] = None,
    bleu: Annotated[
        bool, typer.Option("--bleu", help="Also translate with each head masked (quicker with --set beam_size=1).")
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also write a file: .json, or a picture (.png, .svg or .pdf); repeatable."),
    ] = None,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Print what every head attends to and how much it matters.

    For each head: how sure it is, where it looks, which other head is most similar, and the loss when it is masked.
    """
    from translator.config import read_call_settings, replace_stated, stated_machine
    from translator.inspection.gold import read_links
    from translator.inspection.head_pictures import write_report
    from translator.inspection.pairs import read_pairs
    from translator.inspection.report import inspect_heads
    from translator.inspection.table import head_table
    from translator.runtime.console import print_result, say
    from translator.runtime.figures import PICTURES, require_matplotlib
    from translator.translation import Translator

    read = [source, reference, *([alignment] if alignment else [])]
    for path in output or []:
        check_results(path, (".json", *PICTURES), runs=[run], files=read)
        if path.suffix.lower() in PICTURES:
            require_matplotlib()
    call = read_call_settings(settings or [])
    translator = Translator.load(run, engine="native", weights=weights, **stated_machine(call))
    pairs = read_pairs(translator.bundle, source, reference, to)
    gold = read_links(alignment, pairs) if alignment else None
    decoding = replace_stated(translator.settings, call) if bleu else None
    report = inspect_heads(translator, pairs, gold=gold, bleu=decoding, to=to)
    print_result(head_table(report))
    for path in output or []:
        say(f"written to {write_report(report, path)}")
