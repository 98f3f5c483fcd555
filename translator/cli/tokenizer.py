"""`translator tokenizer`: train a SentencePiece model, and turn lines into pieces and back."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


class Side(StrEnum):
    """Which tokenizer, if source and target have one each."""

    SOURCE = "source"
    TARGET = "target"


Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model file, or a run or prepared data that contains one.")
]
Files = Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="Lines; by default stdin (also `-`).")]
Ids = Annotated[bool, typer.Option("--ids", help="Use piece ids instead of pieces.")]
OfSide = Annotated[Side | None, typer.Option(help="Which tokenizer, if MODEL is a directory with one for each side.")]


@app.command()
def train(
    corpora: Annotated[
        list[str],
        typer.Argument(metavar="CORPUS ...", help="Text files, or corpora as in data.train (both sides are read)."),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="Model file to write, for tokenizer.model=FILE.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Tokenizer setting, such as vocab_size=16k; repeatable."),
    ] = None,
) -> None:
    """Train one SentencePiece model on all the text given; print its path."""
    from translator.runtime.console import print_result
    from translator.text import read_tokenizer_settings, train_model_file

    tokenizer, languages = read_tokenizer_settings(settings or [])
    train_model_file(corpora, tokenizer, output, languages)
    print_result(output)


@app.command()
def encode(model: Model, files: Files = None, ids: Ids = False, side: OfSide = None) -> None:
    """Turn lines of text into lines of pieces, separated by spaces."""
    from translator.text import find_tokenizer

    tokenizer = find_tokenizer(model, side and side.value)
    _write(
        " ".join(map(str, tokenizer.encode([line])[0])) if ids else " ".join(tokenizer.encode_pieces(line))
        for _, _, line in _lines(files)
    )


@app.command()
def decode(model: Model, files: Files = None, ids: Ids = False, side: OfSide = None) -> None:
    """Turn lines of pieces, or with --ids of piece ids, into lines of text."""
    from translator.text import find_tokenizer, parse_ids

    tokenizer = find_tokenizer(model, side and side.value)
    _write(
        tokenizer.decode(parse_ids(line, tokenizer.vocab_size, f"{name}, line {number:,}"))
        if ids
        else tokenizer.decode_pieces([piece for piece in line.split(" ") if piece])
        for name, number, line in _lines(files)
    )


def _lines(files: list[Path] | None) -> Iterator[tuple[str, int, str]]:
    """Yield (name of the input, line number, line); only a line feed ends a line."""
    from translator.cli.arguments import open_inputs
    from translator.text import decode_lines

    for name, stream in open_inputs(files):
        for number, line in enumerate(decode_lines(stream, name), start=1):
            yield name, number, line


def _write(lines: Iterator[str]) -> None:
    from translator.runtime.console import ResultStream

    stream = ResultStream()
    for line in lines:
        stream.write(line.encode("utf-8") + b"\n")
    stream.flush()
