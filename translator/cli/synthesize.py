"""`translator synthesize`: translations of much text, as a corpus to train on."""

from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import (
    CallSettings,
    EngineChoice,
    EngineName,
    Run,
    To,
    TogetherWith,
    Weights,
    load_translator,
    read_call,
)
from translator.cli.processes import shared_by_processes

NBest = Annotated[int | None, typer.Option("--n-best", min=1, metavar="N", help="Translations of each line.")]
Sample = Annotated[bool, typer.Option("--sample", help="Draw random translations, not the most probable.")]
Nearest = Annotated[
    bool,
    typer.Option(
        "--nearest",
        help="Of the N best, by default as many as the beam is wide, keep the one most like the reference (chrF).",
    ),
]
ScoreWith = Annotated[
    Path | None,
    typer.Option("--score-with", metavar="RUN", help="Choose pairs by the scores of a run for the other direction."),
]
KeepBest = Annotated[
    float, typer.Option(metavar="SHARE", help="Share of the pairs that is kept, the best by score a piece.")
]
ShardLines = Annotated[int, typer.Option(min=1, metavar="N", help="Lines in a shard.")]


def synthesize(
    run: Run,
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="FILE",
            help="Text, a line a sentence; or one parallel corpus such as 'train.{en,de}', whose source side is "
            "translated. Repeatable for text.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Directory of the corpus; the same command continues it."),
    ],
    n_best: NBest = None,
    sample: Sample = False,
    nearest: Nearest = False,
    back: Annotated[
        bool, typer.Option("--back", help="Back-translation: the translations are the source side of the corpus.")
    ] = False,
    tag: Annotated[
        str, typer.Option(metavar="TEXT", help="With --back: text before every translation, such as '<bt>'.")
    ] = "",
    score_with: ScoreWith = None,
    keep_best: KeepBest = 1.0,
    shard_lines: ShardLines = 10_000,
    together_with: TogetherWith = None,
    engine: EngineName = EngineChoice.auto,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate much text into a corpus to train on.

    The corpus is a directory of shards: any number of processes and machines may work on it, and the same command
    continues it. Prints the directory.
    """
    from translator.checkpoints import load_bundle
    from translator.config import stated_machine
    from translator.runtime.console import print_result
    from translator.synthesis import Wanted, lines_of, synthesize

    words = words_of_options(run, n_best, sample, nearest, settings or [])
    with shared_by_processes(lambda: read_call(run, words)) as (call, world):
        translator, replaced = load_translator(run, call, together_with, engine, weights)
        lines = lines_of(inputs, translator.bundle.config.data, to, refuse=replaced.invalid_utf8 == "refuse")
        scorer = load_bundle(score_with, **stated_machine(call)) if score_with is not None else None
        wanted = Wanted(to, back, tag, nearest, keep_best, shard_lines)
        synthesize(translator, lines, output, replaced, wanted, scorer=scorer, world=world)
        if world.is_main:
            print_result(output)


def words_of_options(run: Path, n_best: int | None, sample: bool, nearest: bool, stated: list[str]) -> list[str]:
    """Return the decoding settings that `--sample`, `--n-best` and `--nearest` stand for, and after them the stated.

    Unless it is stated, the beam is wide enough for the number of translations.
    """
    from translator.config import read_call_settings, read_run_config

    words = ["search=sampling"] if sample else []
    asked = read_call_settings(stated).decoding
    beam_size = (asked if "beam_size" in asked.model_fields_set else read_run_config(run).decoding).beam_size
    if n_best is None and nearest and "n_best" not in asked.model_fields_set:
        n_best = beam_size
    if n_best is not None:
        words.append(f"n_best={n_best}")
        is_beam = not sample and asked.model_fields_set.isdisjoint({"beam_size", "search"})
        if is_beam and beam_size < n_best:
            words.append(f"beam_size={n_best}")
    return [*words, *stated]
