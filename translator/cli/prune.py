"""`translator prune`: a run without some of its heads."""

from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, Run, To, Weights, check_results
from translator.runtime.counted import counted


def prune(
    run: Run,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Run directory to write; new, or empty.")],
    heads: Annotated[
        str | None,
        typer.Option(
            metavar="N|NAMES",
            help="How many heads to remove (those that matter least), or which: cross.1.2,encoder.3.1.",
        ),
    ] = None,
    loss_budget: Annotated[
        float | None,
        typer.Option(
            metavar="NATS",
            min=0.0,
            help="Remove heads until the loss has risen by this much, in nats per target token.",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="Only remove heads of encoder, decoder (masked self-attention) or cross; repeatable."
        ),
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Source text to measure heads on.")] = None,
    reference: Annotated[Path | None, typer.Option(metavar="FILE", help="Its translation, line by line.")] = None,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Remove attention heads from the weights.

    The result is a smaller, faster run that every command accepts, `train` included.
    """
    from translator.checkpoints import load_bundle
    from translator.config import KINDS, parse_head, read_call_settings, refuse_decoding, stated_machine
    from translator.inspection.pairs import read_pairs
    from translator.inspection.prune import check_output, choose_heads, prune_run
    from translator.inspection.table import describe_counts
    from translator.model import count_parameters
    from translator.runtime.console import print_result, progress, say

    if (heads is None) == (loss_budget is None):
        raise typer.BadParameter("expected one of --heads and --loss-budget")
    if wrong := [name for name in kind or [] if name not in KINDS]:
        raise typer.BadParameter(f"--kind: found {wrong[0]!r}, expected {', '.join(KINDS)}")
    named = heads is not None and not heads.strip().isdecimal()
    if named and kind:
        raise typer.BadParameter(
            "--kind limits which heads are chosen by measuring; leave it out, or give a number of heads"
        )
    if (source is None) != (reference is None) or (source is None and not named):
        raise typer.BadParameter("to measure how much heads matter, give --source FILE and --reference FILE")
    call = read_call_settings(settings or [])
    refuse_decoding(call, "prune")
    machine = stated_machine(call)
    check_results(output / "config.yaml", runs=[run], files=[source, reference] if source and reference else [])
    check_output(output)
    bundle = load_bundle(run, weights=weights, **machine)
    pairs = read_pairs(bundle, source, reference, to).ids if source and reference else []
    if named:
        chosen = [parse_head(name) for name in (heads or "").split(",")]
    else:
        with progress(description="measuring", unit="passes") as bar:
            choice = choose_heads(
                bundle, pairs, count=None if heads is None else int(heads), loss_budget=loss_budget,
                kinds=kind or KINDS, on_progress=bar.update,
            )  # fmt: skip
        chosen = choice.heads
    config = prune_run(run, chosen, output, weights)
    after = load_bundle(output, **machine)
    say(f"removed {counted(len(chosen), 'head')}: {', '.join(map(str, chosen)) or 'none'}")
    say(f"left: {describe_counts(config.model)}")
    say(f"parameters: {count_parameters(bundle.model):,} before, {count_parameters(after.model):,} after")
    if pairs:
        from translator.inspection.importance import loss_of

        losses = loss_of(bundle, pairs), loss_of(after, pairs)
        say(
            f"loss on {counted(len(pairs), 'pair')}, nats per target token: {losses[0]:.4f} before, {losses[1]:.4f} "
            "after"
        )
    say(f"to train it further: translator train {output}/config.yaml training.max_steps=...")
    print_result(output)
