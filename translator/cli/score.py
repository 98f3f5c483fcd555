"""`translator score`: the log-probabilities that a model gives to existing translations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, Form, Run, To, TogetherWith, Weights, open_inputs, read_call
from translator.cli.processes import shared_by_processes


def score(
    run: Run,
    source: Annotated[Path, typer.Option(metavar="FILE", help="Source text, one sentence per line; - is stdin.")],
    target: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line by line; - is stdin.")],
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="text: the log-probability; tsv: log-probability, score, tokens and perplexity; "
            "jsonl: pieces and their log-probabilities too.",
        ),
    ] = Form.text,
    together_with: TogetherWith = None,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Print the log-probability of given translations.

    One line for each pair; in nats, with the end of sentence included.
    """
    from translator.checkpoints import load_bundle
    from translator.config import read_run_config, replace_stated, stated_machine
    from translator.runtime.console import ResultStream, progress, say
    from translator.text import decode_lines
    from translator.translation.score_lines import Totals, format_line, pair_lines, score_lines

    if str(source) == str(target) == "-":
        raise typer.BadParameter("only one of --source and --target can be stdin")
    with shared_by_processes(lambda: read_call(run, settings)) as (call, world):
        pairs: Iterator[tuple[str, str]] = iter(())
        if world.is_main:
            inputs = open_inputs([source, target])
            refuse = replace_stated(read_run_config(run).decoding, call).invalid_utf8 == "refuse"
            sources, targets = (decode_lines(stream, name, refuse=refuse) for name, stream in inputs)
            pairs = pair_lines(sources, targets, (inputs[0][0], inputs[1][0]))
        bundles = [load_bundle(run, weights=weights, **stated_machine(call))]
        bundles += [load_bundle(other, **stated_machine(call)) for other in together_with or []]
        decoding = replace_stated(bundles[0].config.decoding, call)
        totals, output = Totals(), ResultStream()
        with progress(description="scoring", unit="lines") as bar:

            def on_progress(lines: int) -> None:
                output.flush()
                bar.update(lines)

            for line in score_lines(bundles, pairs, decoding, to=to, on_progress=on_progress, world=world):
                output.write(format_line(line, form).encode("utf-8") + b"\n")
                totals.add(line)
        output.flush()
        say(str(totals))
