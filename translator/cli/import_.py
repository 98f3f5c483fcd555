"""`translator import`: a model of another system as a run."""

from pathlib import Path
from typing import Annotated

import typer


def import_model(
    source: Annotated[
        str,
        typer.Argument(
            metavar="{SOURCE}", show_default=False, help="Model file or directory, or hub:NAME, which is downloaded."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Run directory to write; new, or empty.")],
    languages: Annotated[
        str | None, typer.Option(metavar="SOURCE-TARGET", help="Codes of both languages, such as en-pt.")
    ] = None,
    vocabulary: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Marian: vocabulary, if it is not found; repeat it for source and target."),
    ] = None,
    tokenizer: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Marian: SentencePiece model, if it is not found; repeat it for source and target."
        ),
    ] = None,
) -> None:
    """Make a run of a model of Marian (OPUS-MT, Firefox), transformers, CTranslate2 or Argos Translate.

    `translate`, `evaluate` and `train start_from=RUN` take it like any other run.
    """
    from translator.interop.detect import read_foreign
    from translator.interop.imported import Languages, write_imported
    from translator.runtime.console import print_result, say
    from translator.text.languages import read_direction

    known = Languages()
    if languages is not None:
        if (found := read_direction(languages)) is None:
            raise typer.BadParameter(f"--languages: found {languages!r}, expected two codes such as en-pt or en-pt-BR")
        known = Languages(*found)
    for name, files in (("--vocabulary", vocabulary), ("--tokenizer", tokenizer)):
        if files is not None and len(files) > 2:
            raise typer.BadParameter(f"{name}: found {len(files)} files, expected one, or one for each side")
    model = read_foreign(source, known, vocabulary or (), tokenizer or ())
    write_imported(model, output)
    shape = model.settings
    say(
        f"imported from {model.system}: {shape.encoder_layers}+{shape.decoder_layers} layers, d_model {shape.d_model}, "
        f"{sum(weight.numel() for weight in model.weights.values()):,} parameters"
    )
    print_result(output)
