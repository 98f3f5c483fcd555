"""`translator export`: a run in the format of another program."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import Run, Weights, check_results
from translator.interop.number_formats import NumberFormat


class System(StrEnum):
    """The programs that a run can be exported to."""

    huggingface = "huggingface"
    ctranslate2 = "ctranslate2"
    argos = "argos"


def export(
    run: Run,
    to: Annotated[System, typer.Option("--to", help="Format to write; argos is also what LibreTranslate installs.")],
    output: Annotated[
        Path,
        typer.Option(metavar="PATH", help="Directory to write; for argos, a file whose name ends in .argosmodel."),
    ],
    quantize: Annotated[
        NumberFormat | None,
        typer.Option(help="Number format of the weights, for ctranslate2 and argos; by default float32."),
    ] = None,
    with_shortlist: Annotated[
        bool,
        typer.Option("--shortlist", help="For ctranslate2: with the shortlist of `translator shortlist` (vmap.txt)."),
    ] = False,
    weights: Weights = None,
) -> None:
    """Write a run as a model for another program: Hugging Face transformers, CTranslate2 or Argos Translate.

    Only an empty directory, or an earlier export, is replaced.
    """
    if quantize is not None and to is System.huggingface:
        raise typer.BadParameter("--quantize is for ctranslate2 and argos; transformers has weights in float32")
    if with_shortlist and to is not System.ctranslate2:
        raise typer.BadParameter("--shortlist is for ctranslate2; the other formats have none")
    from translator.checkpoints import load_bundle
    from translator.evaluation import read_scores
    from translator.interop.argos import export_argos
    from translator.interop.card import scores_of
    from translator.interop.checksums import listed_files
    from translator.interop.ctranslate2 import export_ctranslate2, usage
    from translator.interop.ctranslate2.shortlist import shortlist_of
    from translator.interop.huggingface import export_huggingface
    from translator.runtime.console import print_result
    from translator.runtime.directories import refuse_foreign

    if to is System.argos:
        check_results(output, (".argosmodel",), runs=[run])
    else:
        check_results(output / "config.json", runs=[run])
        refuse_foreign(output, listed_files)
    entries = read_scores(run)
    bundle = load_bundle(run, weights=weights, device="cpu")
    scores = scores_of(entries, bundle.weights)
    number_format = (quantize or NumberFormat.float32).value
    if to is System.huggingface:
        export_huggingface(bundle, output, scores)
    elif to is System.ctranslate2:
        readme = usage(bundle, number_format, scores, with_shortlist)
        used = shortlist_of(bundle) if with_shortlist else None
        export_ctranslate2(bundle, output, quantization=number_format, readme=readme, shortlist=used)
    else:
        export_argos(bundle, output, quantization=number_format, scores=scores)
    print_result(output)
