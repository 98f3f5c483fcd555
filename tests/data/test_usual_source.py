"""From which length on lines are split into sentences: always, if the training sources hold single ones."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from translator.config import TokenizerSettings
from translator.data.arrow_file import DatasetWriter
from translator.data.dataset import ParallelDataset
from translator.data.usual_source import usual_source
from translator.text import Tokenizer, train_tokenizer

SINGLE = ["The dog sleeps at home.", "A cat reads 3.5 books", "Mr. Smith sings", "Who runs?"]
SEVERAL = "The dog sleeps. A cat reads!"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    lines = [*SINGLE, SEVERAL, *(line.lower() for line in SINGLE), "หมานอน แมวอ่านหนังสือ"]
    return train_tokenizer(lambda: lines * 5, TokenizerSettings(vocab_size=330), languages=("de",))


def dataset(path: Path, tokenizer: Tokenizer, sources: Sequence[str], tag: bool = False) -> ParallelDataset:
    tags = [tokenizer.tags["de"]] if tag else []
    ids = [[*tags, *row] for row in tokenizer.encode(sources)]
    with DatasetWriter(path / "train.arrow", with_text=False) as writer:
        writer.write(ids, ids, None)
    return ParallelDataset.open(path / "train.arrow")


@pytest.mark.parametrize("tag", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_nearly_no_source_with_several_sentences_means_that_every_line_is_split(
    tmp_path: Path, tokenizer: Tokenizer, tag: bool, lower: bool
) -> None:
    several = SEVERAL.lower() if lower else SEVERAL
    lines = [line.lower() if lower else line for line in SINGLE] * 100
    longest = max(len(row) for row in tokenizer.encode([*lines, several])) + tag
    for count, expected in ((0, 0), (3, 0), (8, longest), (100, longest)):
        train = dataset(tmp_path, tokenizer, [*lines, *[several] * count], tag)
        found = usual_source(train, tokenizer, "en", merged=False)
        assert (found > 0) == (expected > 0), count
        assert found <= longest
    assert usual_source(train, tokenizer, None, merged=False) == longest


def test_what_cannot_be_counted_or_is_made_in_training_keeps_the_usual_length(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    train = dataset(tmp_path, tokenizer, ["หมานอน แมวอ่านหนังสือ"] * 20)
    usual = int(train.source_lengths.max())
    assert usual_source(train, tokenizer, "th", merged=False) == usual
    assert usual_source(train, tokenizer, "en", merged=True) == usual
    assert usual_source(train, tokenizer, "en", merged=False) == 0
