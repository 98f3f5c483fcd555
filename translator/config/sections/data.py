"""`data`: the parallel text of a run, and what is kept of it."""

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from translator.config.setting_types import FilePair, Fraction, Pieces, PositiveCount, PositiveFloat, Settings


def _kind_of_corpora(value: Any) -> str:
    if isinstance(value, str):
        return "path"
    return "files" if isinstance(value, list) and all(isinstance(item, str) for item in value) else "entries"


OneCorpus = Annotated[Annotated[str, Tag("path")] | Annotated[FilePair, Tag("files")], Discriminator(_kind_of_corpora)]


def _separator(value: str) -> str:
    if value in ("tab", "comma", "semicolon", "pipe") or (len(value) == 1 and value not in '"\r\n'):
        return value
    raise ValueError("expected one character, or tab, comma, semicolon or pipe")


Separator = Annotated[str, AfterValidator(_separator)]


class CorpusEntry(Settings):
    """One corpus of several: an item of the list in `data.train`, `data.valid` or `data.test`."""

    path: OneCorpus
    """The corpus: a pattern, a list of two files, a table, or a dataset on the hub."""
    weight: PositiveFloat | None = None
    """Share of this corpus in an epoch of training, relative to the weights of the others; without weights the
    shares follow from the sizes (see `data.temperature`)."""
    source_language: str | None = None
    """As in `data`, for this corpus; by default the language in the pattern, else the setting in `data`."""
    target_language: str | None = None
    """As `source_language`."""
    scores: str | None = None
    """File with a number on each line, the score of each pair of this training corpus, for `data.min_score`."""
    score_column: str | None = None
    """The same as a column of a `.tsv` or `.csv` file, by its name in the header line."""
    alignments: str | None = None
    """File with the word links of each pair of this training corpus, a line for each (Pharaoh format, `0-0 1-2`), for
    `training.guided_alignment`."""


Corpora = Annotated[
    Annotated[str, Tag("path")]
    | Annotated[FilePair, Tag("files")]
    | Annotated[list[CorpusEntry], Field(min_length=1), Tag("entries")],
    Discriminator(_kind_of_corpora),
]


class DataSettings(Settings):
    """Parallel text, and what is kept of it.

    A corpus is one of: a pattern with both languages, `corpus/train.{en,de}`; a list of two files; one file with
    both sides, `.tsv`, `.csv`, `.jsonl`, `.parquet`, `.tmx`, `.xlf` or `.zip` (with a text for each side); a
    directory that `translator synthesize` wrote; `hub:NAME[:SPLIT]`, a dataset on the Hugging Face hub; or
    `mtdata:NAME`, a set of OPUS or others. Text may be compressed (`.gz`, `.bz2`, `.xz`, `.zst`).
    Several corpora are a list of entries, each `{path: CORPUS}`, optionally with `weight`, `source_language` and
    `target_language`; an epoch has as many pairs as all of them together.
    """

    train: Corpora | None = None
    """Training corpus, or a list of entries."""
    valid: Corpora | None = None
    """Validation corpus, or a list of entries, for choosing checkpoints. Without one, the last pairs of every
    training corpus are held out, in proportion to its size."""
    test: Corpora | None = None
    """Test corpus, or a list of entries; its sentences are removed from train, and it is used for nothing else."""
    alignments: str | None = None
    """File with the word links of a single training corpus; in a list of entries, each has its own `alignments`."""
    temperature: Annotated[float, Field(ge=1.0, le=100.0)] = 1.0
    """Evens out training corpora of unequal size: shares in an epoch are proportional to size ** (1 / temperature).
    1 takes every pair once; 5 is usual for many languages. Cannot be combined with weights."""
    language_tags: bool = False
    """Put a tag for the target language (`<2de>`) before every source sentence, for a model with several target
    languages. Each corpus states its languages, and `translate` needs `--to LANGUAGE`."""
    source_language: str | None = None
    """Language code or column name of the source side; taken from a `{en,de}` pattern if there is one. If the
    pattern has the two in the other order, the sides are swapped, except in a list of entries or with language
    tags."""
    target_language: str | None = None
    """Language code or column name of the target side."""
    separator: Separator | None = None
    """What separates the columns of `.tsv` and `.csv` files: a character, or `tab`, `comma`, `semicolon` or `pipe`. By
    default a tab in `.tsv`, and in `.csv` what the first lines have."""
    quotes: bool | None = None
    """Whether `"` encloses fields of `.tsv` and `.csv` files; by default in `.csv` alone."""
    header: bool | None = None
    """Whether the first line of `.tsv` and `.csv` files names the columns; by default if it has the names that are
    looked for, or two languages (`en`, `English`)."""
    prepared: str | None = None
    """Directory of the prepared data; by default `prepared` in the run directory. Share it between runs."""
    max_length: Pieces = 256
    """Longest side of a training pair, in pieces; longer pairs are dropped and counted."""
    max_length_ratio: Annotated[float, Field(ge=1.0, le=1e6, allow_inf_nan=False)] = 4.0
    """Largest ratio between the sides of a training pair, in pieces; pairs with sides of up to 10 pieces are kept."""
    drop_duplicates: bool = True
    """Drop exact repetitions of a training pair."""
    drop_leaks: bool = True
    """Drop training pairs whose source or target is also in valid or test."""
    drop_near_duplicates: bool = False
    """Drop training pairs that have about 80 % of their sequences of five characters in common with an earlier one
    (MinHash)."""
    drop_mojibake: bool = True
    """Drop training pairs with text that was decoded with the wrong encoding (`KÃ¶ln`) or lost characters (U+FFFD)."""
    drop_identical: bool = False
    """Drop training pairs with the same text on both sides, whatever its case."""
    drop_different_numbers: bool = False
    """Drop training pairs if a number of two or more digits is on one side only."""
    drop_different_addresses: bool = False
    """Drop training pairs whose sides have different web or e-mail addresses."""
    drop_unbalanced: bool = False
    """Drop training pairs if brackets or double quotation marks are closed on one side and not on the other."""
    drop_other_languages: bool = False
    """Drop training pairs with a side that py3langid (`pip install py3langid`) finds to be in another language."""
    max_characters: PositiveCount | None = None
    """Longest side of a training pair, in characters."""
    min_letter_share: Fraction = 0.0
    """Smallest share of letters on a side of a training pair, among all characters but white space."""
    min_script_share: Fraction = 0.0
    """Smallest share of letters in the script of the language of a side (Cyrillic for `ru`, Latin for `sr-Latn`)."""
    min_score: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)] | None = None
    """Smallest score of a training pair, such as one of Bicleaner or LASER. The entry of a corpus says where its scores
    are (`scores` or `score_column`); corpora without scores are kept."""
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Processes that clean and encode text; by default one for each core, at most 8. The result is the same with any
    number."""
    held_out: PositiveCount = 1000
    """Pairs held out of train for validation if there is no valid corpus, over all corpora together; at most a
    tenth of train."""
