"""`translator score`: the log-probabilities that a model gives to existing translations."""

from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, Form, Run, To, TogetherWith, Weights, open_inputs, read_call


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
    from translator.config import replace_stated, stated_machine
    from translator.runtime.console import ResultStream, progress, say
    from translator.text import decode_lines
    from translator.translation.score_lines import Totals, format_line, pair_lines, score_lines

    if str(source) == str(target) == "-":
        raise typer.BadParameter("only one of --source and --target can be stdin")
    call = read_call(run, settings)
    (source_name, source_stream), (target_name, target_stream) = open_inputs([source, target])
    bundles = [load_bundle(run, weights=weights, **stated_machine(call))]
    bundles += [load_bundle(other, **stated_machine(call)) for other in together_with or []]
    decoding = replace_stated(bundles[0].config.decoding, call)
    lines = decode_lines(source_stream, source_name), decode_lines(target_stream, target_name)
    pairs = pair_lines(*lines, (source_name, target_name))
    totals, output = Totals(), ResultStream()
    with progress(description="scoring", unit="lines") as bar:

        def on_progress(lines: int) -> None:
            output.flush()
            bar.update(lines)

        for line in score_lines(bundles, pairs, decoding, to=to, on_progress=on_progress):
            output.write(format_line(line, form).encode("utf-8") + b"\n")
            totals.add(line)
    output.flush()
    say(str(totals))
