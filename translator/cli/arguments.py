"""Arguments and options that several commands have: settings, a run and its weights, and files of lines."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

if TYPE_CHECKING:
    from translator.config import Config, DecodingSettings
    from translator.translation import Translator

SettingsWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="CONFIG.yaml KEY=VALUE", help="Settings file, and settings that replace those in it."),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory, as `translator train` makes it.")]
CallSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Decoding setting for this call, such as beam_size=4; repeatable."),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Weights to use: final (the default), best (the default until training ends), last, a step, or a name in "
        "RUN/models.",
    ),
]
TogetherWith = Annotated[
    list[Path] | None, typer.Option("--with", metavar="RUN", help="Another run to form an ensemble with; repeatable.")
]
To = Annotated[
    str | None,
    typer.Option(metavar="LANGUAGE", help="Language to translate into, if the run has data.language_tags."),
]


class Form(StrEnum):
    """What a line of output contains."""

    text = "text"
    tsv = "tsv"
    jsonl = "jsonl"


class InputForm(StrEnum):
    """What a line of input contains."""

    text = "text"
    jsonl = "jsonl"


class Markup(StrEnum):
    """What of a line of input is not text."""

    none = "none"
    html = "html"
    xml = "xml"


class TextOrJson(StrEnum):
    """How figures are printed."""

    text = "text"
    json = "json"


class EngineChoice(StrEnum):
    """What translates."""

    auto = "auto"
    native = "native"
    ctranslate2 = "ctranslate2"


EngineName = Annotated[
    EngineChoice,
    typer.Option("--engine", help="auto: CTranslate2 on the CPU if it can do what is asked, otherwise native."),
]


def split_arguments(arguments: Sequence[str] | None) -> tuple[Path | None, list[str]]:
    """Separate a leading settings file from `KEY=VALUE` arguments; raise `BadParameter` for anything else."""
    words = list(arguments or [])
    path = Path(words.pop(0)) if words and "=" not in words[0] else None
    for word in words:
        if "=" not in word:
            raise typer.BadParameter(f"{word!r}: expected KEY=VALUE, such as training.max_steps=8k")
    return path, words


def open_inputs(files: Sequence[Path] | None) -> list[tuple[str, BinaryIO]]:
    """Open files of lines; return each with its name for messages. `-`, or no file at all, is stdin."""
    from translator.text import open_input
    from translator.text.input_lines import standard_input

    return [
        (str(file), open_input(file)) if str(file) != "-" else ("stdin", standard_input())
        for file in files or [Path("-")]
    ]


def check_results(
    output: Path, endings: Sequence[str] = (), *, runs: Sequence[Path] = (), files: Sequence[Path] = (),
    makes_parents: bool = True,
) -> None:  # fmt: skip
    """Check, before anything is loaded, that results can be written to `output`.

    It must be none of the `files` that the command reads (`-` is stdin), and nothing that a run in `runs` consists of;
    the other arguments are those of `check_output`.
    """
    from translator.checkpoints.run_directory import RunDirectory
    from translator.runtime.outputs import check_output

    own = [path for run in runs for path in RunDirectory(run).own_paths()]
    check_output(output, endings, inputs=[*files, *own], makes_parents=makes_parents)


def read_call(run: Path, words: Sequence[str] | None) -> "Config":
    """Read the settings for one call of a command, and find what contradicts those of the run before it is loaded."""
    from translator.config import read_call_settings, read_run_config, replace_stated

    call = read_call_settings(words or [])
    replace_stated(read_run_config(run).decoding, call)
    return call


def load_translator(
    run: Path, call: "Config", together_with: Sequence[Path] | None = None,
    engine: EngineChoice = EngineChoice.auto, weights: str | None = None, **machine: Any,
) -> "tuple[Translator, DecodingSettings]":  # fmt: skip
    """Load a run, or an ensemble, as the options say; return it with its decoding settings for this `call`.

    `machine` is where to compute unless the call says so (`device`, `threads`).
    """
    from translator.config import replace_stated, stated_machine
    from translator.translation import Translator

    where = {**machine, **stated_machine(call)}
    translator = Translator.load(run, together_with=together_with or [], engine=engine.value, weights=weights, **where)
    return translator, replace_stated(translator.settings, call)
