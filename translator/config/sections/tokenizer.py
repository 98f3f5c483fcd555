"""`tokenizer`: the SentencePiece model, which is also the vocabulary."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from translator.config.setting_types import FilePair, PositiveCount, Settings
from translator.config.units import WRITTEN

OneOrTwoFiles = Annotated[
    Annotated[str, Tag("one")] | Annotated[FilePair, Tag("two")],
    Discriminator(lambda value: "two" if isinstance(value, list) else "one"),
]
Symbol = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s\u2581]+$")]
Normalization = Literal["nfc", "identity", "nfkc", "nmt_nfkc", "nfkc_cf", "table"]


class TokenizerSettings(Settings):
    """The SentencePiece model, which is also the vocabulary."""

    model: OneOrTwoFiles | None = None
    """An existing SentencePiece model file to use for both sides instead of training one, or a list of two, for source
    and target. It needs `</s>`; without `<s>` the decoder begins with a vector of zeros. If a file next to it has the
    same name with `.vocabulary.json` for its last suffix, the ids of the pieces are those of that file."""
    type: Literal["bpe", "unigram"] = "bpe"
    """How pieces are found."""
    vocab_size: Annotated[int, Field(ge=300, le=10**6), WRITTEN] = 8000
    """Number of pieces; lowered, with a message, if the text has too few."""
    joint: bool = True
    """One model over both languages; otherwise one for each side."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = 1.0
    """Share of the characters in the text that get a piece of their own; the others are spelled in bytes."""
    byte_fallback: bool = True
    """Spell unknown characters in UTF-8 bytes, so that every text can be encoded."""
    normalization: Normalization = "nfc"
    """What is done to characters before a text is split. `nfc` and `identity` change nothing that a reader can see.
    SentencePiece's `nfkc`, `nmt_nfkc` and `nfkc_cf` do (`²` becomes `2`; `nfkc_cf` also lower-cases), and the model can
    then not write what they take away. `table` stands for `normalization_table`."""
    source_normalization: Normalization | None = None
    """The same for the source alone, such as `nfkc`; by default as `normalization`. With a joint vocabulary there are
    then two model files with the same pieces."""
    normalization_table: str | None = None
    """File of the rules that `table` stands for (SentencePiece's `normalization_rule_tsv`): lines such as
    `FB01<TAB>66 69`, code points in hexadecimal."""
    user_defined_symbols: Annotated[list[Symbol], Field(max_length=10_000)] = []
    """Text that is always one piece, never split and never changed, such as [<ph1>, "{name}"]."""
    split_digits: bool = False
    """Give every digit a piece of its own."""
    sample_size: PositiveCount = 1_000_000
    """Most lines that the tokenizer is trained on, drawn evenly over the corpus."""
    extend: Annotated[int, Field(ge=0, le=10**6), WRITTEN] = 0
    """With `start_from`: pieces to add to the vocabulary of that run, for a new script or language. They are those that
    shorten the new text most; their vectors begin as the mean of those of their old pieces. With `data.language_tags`,
    the tags of new target languages are added, too."""
