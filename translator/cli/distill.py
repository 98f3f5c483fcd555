"""`translator distill`: a student that learns from its teachers' translations."""

from pathlib import Path
from typing import Annotated, Any

import typer

from translator.cli.arguments import CallSettings, EngineChoice, EngineName, load_translator, read_call
from translator.cli.processes import shared_by_processes
from translator.cli.synthesize import KeepBest, NBest, Nearest, Sample, ScoreWith, ShardLines, words_of_options


def distill(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="TEACHER... KEY=VALUE...", help="Runs that translate together, and settings of the student."
        ),
    ],
    run: Annotated[Path, typer.Option("--run", metavar="STUDENT", help="Run directory of the student.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Directory of the translations; by default STUDENT.synthetic."
        ),
    ] = None,
    n_best: NBest = None,
    sample: Sample = False,
    nearest: Nearest = False,
    references: Annotated[
        bool, typer.Option("--references", help="Train on the corpora as they are, too, not on translations alone.")
    ] = False,
    score_with: ScoreWith = None,
    keep_best: KeepBest = 1.0,
    shard_lines: ShardLines = 10_000,
    engine: EngineName = EngineChoice.auto,
    settings: CallSettings = None,
) -> None:
    """Train a student on what its teachers make of the training sources.

    The student has the corpora and the vocabulary of the first teacher and the preset `student`, unless settings say
    otherwise; those of the translation are given with --set. The same command continues where it was interrupted.
    Prints the run directory of the student.
    """
    from translator.checkpoints import load_bundle
    from translator.config import stated_machine
    from translator.runtime.console import print_result
    from translator.synthesis import Wanted, distill, student_config

    teachers = [Path(word) for word in arguments if "=" not in word]
    if not teachers:
        raise typer.BadParameter("name at least one TEACHER, a run directory")
    # `.` and `..` have no name of their own.
    own = run if run.name not in ("", "..") else run.resolve()
    overrides = [word for word in arguments if "=" in word]
    with shared_by_processes(lambda: student_config(teachers[0], run, overrides)) as (student, world):
        call = read_call(teachers[0], words_of_options(teachers[0], n_best, sample, nearest, settings or []))
        machine: dict[str, Any] = {"device": student.device, "threads": student.threads}
        translator, decoding = load_translator(teachers[0], call, teachers[1:], engine, **machine)
        scorer = load_bundle(score_with, **{**machine, **stated_machine(call)}) if score_with is not None else None
        result = distill(
            translator, student, output or own.with_name(f"{own.name}.synthetic"), decoding,
            Wanted(nearest=nearest, keep_best=keep_best, shard_lines=shard_lines), references=references,
            scorer=scorer, world=world,
        )  # fmt: skip
        if world.is_main:
            print_result(result.directory)
