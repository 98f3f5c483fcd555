"""`translator shortlist`: which target pieces the source pieces of a run are translated with."""

from typing import Annotated

import typer

from translator.cli.arguments import Run


def shortlist(
    run: Run,
    best: Annotated[int, typer.Option(min=1, help="Target pieces of each source piece, the most probable ones.")] = 50,
    frequent: Annotated[int, typer.Option(min=0, help="Most frequent target pieces, which are always allowed.")] = 100,
    pairs: Annotated[int, typer.Option(min=1, help="Most training pairs to count over, evenly drawn.")] = 200_000,
) -> None:
    """Make RUN/shortlist.txt, with which `--set shortlist=true` translates faster on the CPU.

    It lists the target pieces that each source piece is translated with in the prepared training data, by their word
    links if there are some, and otherwise by IBM model 1.
    """
    from translator.checkpoints import RunDirectory
    from translator.config import prepared_directory, read_run_config
    from translator.data import load_prepared
    from translator.data.lexicon import make_lexicon
    from translator.errors import CheckpointError
    from translator.interop.ctranslate2.shortlist import shortlist_text
    from translator.runtime.console import print_result
    from translator.runtime.files import write_text
    from translator.text import load_tokenizers

    directory = RunDirectory(run)
    prepared = load_prepared(prepared_directory(read_run_config(run), run))
    tokenizers = load_tokenizers(directory.root)
    own, theirs = ([side.digest for side in (pair.source, pair.target)] for pair in (tokenizers, prepared.tokenizers))
    if own != theirs:
        raise CheckpointError(
            f"{prepared.directory} has another vocabulary than {run}; prepare the data of this run again"
        )
    lexicon = make_lexicon(prepared.train, tokenizers.source.vocab_size, tokenizers.target.vocab_size, pairs)
    write_text(directory.shortlist, shortlist_text(lexicon, tokenizers, best, frequent))
    print_result(directory.shortlist)
