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
    checkpoints: Annotated[
        bool,
        typer.Option("--checkpoints", help="Follow all heads through the run's checkpoints (training.keep_every)."),
    ] = False,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="With --checkpoints: another run to draw beside it; repeatable."),
    ] = None,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Print what every head attends to and how much it matters.

    For each head: how sure it is, where it looks, which other head is most similar, and the loss when it is masked.
    """
    from translator.config import read_call_settings, refuse_decoding, replace_stated, stated_machine
    from translator.inspection.gold import read_links
    from translator.inspection.head_pictures import write_report
    from translator.inspection.history import history_table, inspect_checkpoints
    from translator.inspection.history_pictures import write_histories
    from translator.inspection.pairs import read_pairs
    from translator.inspection.report import inspect_heads
    from translator.inspection.table import head_table
    from translator.runtime.console import print_result, say
    from translator.runtime.figures import PICTURES, require_matplotlib
    from translator.translation import Translator

    if checkpoints and (bleu or weights):
        raise typer.BadParameter("--checkpoints measures every checkpoint; leave out --bleu and --weights")
    if beside and not checkpoints:
        raise typer.BadParameter("--beside draws runs through their checkpoints; expected --checkpoints with it")
    read = [source, reference, *([alignment] if alignment else [])]
    for path in output or []:
        check_results(path, (".json", *PICTURES), runs=[run, *(beside or [])], files=read)
        if path.suffix.lower() in PICTURES:
            require_matplotlib()
    call = read_call_settings(settings or [])
    if not bleu:
        refuse_decoding(call, "heads without --bleu")
    if checkpoints:
        more = {"alignment": alignment, "to": to, **stated_machine(call)}
        histories = [inspect_checkpoints(each, source, reference, **more) for each in (run, *(beside or []))]
        print_result("\n\n".join(map(history_table, histories)))
        for path in output or []:
            say(f"written to {write_histories(histories, path)}")
        return
    translator = Translator.load(run, engine="native", weights=weights, **stated_machine(call))
    pairs = read_pairs(translator.bundle, source, reference, to)
    gold = read_links(alignment, pairs) if alignment else None
    decoding = replace_stated(translator.settings, call) if bleu else None
    report = inspect_heads(translator, pairs, gold=gold, bleu=decoding, to=to)
    print_result(head_table(report))
    for path in output or []:
        say(f"written to {write_report(report, path)}")
