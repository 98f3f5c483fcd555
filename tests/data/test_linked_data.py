"""Word links of a corpus: stored with the prepared pairs, gathered with batches, and refused if they do not fit."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from translator.config import AugmentationSettings, Config
from translator.data import ParallelDataset, PreparedData, build, prepare, scanned
from translator.data.arrow_file import DatasetWriter
from translator.data.augmentation import Augmenter
from translator.data.batches import Batch, SpecialTokens, make_batch, make_linked_batch
from translator.data.text_sampling import TextSampler
from translator.data.workers import blocks_of
from translator.errors import DataError

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]
SPECIAL_TOKENS = SpecialTokens(source_eos=2, target_bos=1, target_eos=3)


def linked_words(prepared: PreparedData, index: int) -> set[tuple[str, str]]:
    """The linked pieces of a training pair, as text."""
    links = prepared.train.links(np.array([index]))
    assert not links[:, 0].any()
    source = prepared.tokenizers.source.pieces(prepared.train.source(index).tolist())
    target = prepared.tokenizers.target.pieces(prepared.train.target(index).tolist())
    return {(source[left], target[right]) for _, left, right in links.tolist()}


def of_word(prepared: PreparedData, side: str, word: str) -> list[str]:
    tokenizer = getattr(prepared.tokenizers, side)
    pieces: list[str] = tokenizer.pieces(tokenizer.encode([word])[0])
    return pieces


def write_links(tmp_path: Path, lines: list[str], name: str = "links") -> str:
    (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    return str(tmp_path / name)


def test_links_of_words_are_stored_as_links_of_pieces(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    """The third word is linked to the fifth and the first to the fourth, in every other pair; one pair is dropped."""
    train = pairs(0, 60)
    train.insert(10, ("", "leer"))
    lines = ["2-4 0-3" if index % 2 else "" for index in range(len(train))]
    lines[10] = ""
    config = settings(train=corpus("train", train), alignments=write_links(tmp_path, lines), held_out=5)
    prepared = prepare(config, tmp_path / "out")
    assert len(prepared.train) == 55
    kept = [index for index in range(56) if index != 10]
    for index, row in enumerate(kept):
        source, target = (text.split() for text in train[row])
        words = [(source[2], target[4]), (source[0], target[3])] if lines[row] else []
        expected = {
            (left, right)
            for one, other in words
            for left in of_word(prepared, "source", one)
            for right in of_word(prepared, "target", other)
        }
        assert linked_words(prepared, index) == expected, row
    # The pieces are those without links, and so is their digest.
    plain = prepare(config.model_copy(update={"data": config.data.model_copy(update={"alignments": None})}),
                    tmp_path / "plain")  # fmt: skip
    assert plain.train_digest() == prepared.train_digest()
    assert plain.train.links(np.array([1])).tolist() == []
    assert plain.manifest["counts"] == prepared.manifest["counts"]


def test_other_links_are_prepared_again(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    config = settings(train=corpus("train", pairs(0, 30)), alignments=write_links(tmp_path, ["0-0"] * 30))
    first = prepare(config, tmp_path / "out").train.links(np.arange(3))
    write_links(tmp_path, ["0-1"] * 30)
    again = prepare(config, tmp_path / "out").train.links(np.arange(3))
    assert first[:, 2].max() < again[:, 2].max()


def test_blocks_of_any_number_of_workers_and_compressed_files(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (scanned, build):
        monkeypatch.setattr(module, "blocks_of", lambda items: blocks_of(items, 16))
    train = pairs(0, 150)
    lines = [f"{index % 4}-{index % 3}" for index in range(len(train))]
    (tmp_path / "links.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    found = []
    for workers in (1, 2):
        links = str(tmp_path / "links.gz")
        config = settings(train=corpus("train", train), alignments=links, workers=workers, held_out=9)
        prepared = prepare(config, tmp_path / f"out{workers}")
        found.append((prepared.directory / "train.arrow").read_bytes())
        for index in (0, 77, 140):
            assert linked_words(prepared, index) == {
                (left, right)
                for left in of_word(prepared, "source", train[index][0].split()[index % 4])
                for right in of_word(prepared, "target", train[index][1].split()[index % 3])
            }
    assert found[0] == found[1]


def test_corpora_with_and_without_links_and_with_tags(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    entries = [
        {"path": corpus("one", pairs(0, 30)), "alignments": write_links(tmp_path, ["0-0"] * 30)},
        {"path": corpus("two", pairs(100, 30))},
    ]
    prepared = prepare(settings(train=entries, language_tags=True, held_out=2), tmp_path / "out")
    links = prepared.train.links(np.array([40, 3, 50, 3, 0]))
    assert sorted(set(links[:, 0].tolist())) == [1, 3, 4] and (np.diff(links[:, 0]) >= 0).all()
    # The first source piece is the tag.
    width = len(of_word(prepared, "source", "the"))
    assert set(links[links[:, 0] == 1][:, 1].tolist()) == set(range(1, 1 + width))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda lines: lines[:-1], "has 29 lines, expected 30, one for each pair of"),
        (lambda lines: [*lines, "0-0"], "has 31 lines, expected 30, one for each pair of"),
        (lambda lines: [*lines[:4], "0-0 7-1", *lines[5:]], r"line 5 \(.*\): found the link 7-1, expected words from"),
        (lambda lines: [*lines[:29], "x"], r"line 30 \(.*\): found 'x', expected links such as 0-2"),
    ],
)  # fmt: skip
def test_links_that_do_not_fit_are_refused_before_any_work(
    change: Any, error: str, tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    links = write_links(tmp_path, change(["0-0 1-1"] * 30))
    with pytest.raises(DataError, match=error):
        prepare(settings(train=corpus("train", pairs(0, 30)), alignments=links), tmp_path / "out")
    assert "training the tokenizer" not in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    with pytest.raises(DataError, match=r"there is no file .*none \(alignments\); expected word links such as"):
        prepare(settings(train=corpus("train", pairs(0, 30)), alignments=f"{tmp_path}/none"), tmp_path / "out")


@pytest.fixture
def dataset(tmp_path: Path) -> ParallelDataset:
    """Pairs of 1 to 9 pieces; some links, in two files of which the second has none."""
    random = np.random.default_rng(0)
    for name in ("first", "second"):
        with DatasetWriter(tmp_path / name, with_text=False, with_links=name == "first") as writer:
            for _ in range(2):
                sizes = random.integers(1, 10, (2, 8))
                sides = [[random.integers(5, 40, size).tolist() for size in own] for own in sizes]
                links = []
                for source, target in sizes.T.tolist():
                    cells = sorted(set(random.integers(0, source * target, random.integers(0, 5)).tolist()))
                    links.append([index for cell in cells for index in (cell // target, cell % target)])
                writer.write(sides[0], sides[1], links=links if name == "first" else None)
    return ParallelDataset.open([tmp_path / "first", tmp_path / "second"])


def as_shares(batch: Batch) -> dict[tuple[int, int, int], float]:
    """The share of each link: sentence, target position, source position."""
    links = batch.links
    assert links is not None
    sentences = links.sentences[links.rows].tolist()
    keys = zip(sentences, links.target.tolist(), links.source.tolist(), strict=True)
    return dict(zip(keys, links.shares.tolist(), strict=True))


def test_a_batch_has_the_links_of_its_pairs(dataset: ParallelDataset) -> None:
    chosen = np.array([20, 5, 3, 5, 0, 11, 30, 14])
    batch = make_linked_batch(dataset, chosen, SPECIAL_TOKENS)
    plain = make_batch(dataset, chosen, SPECIAL_TOKENS)
    assert plain.links is None and torch.equal(plain.source.tokens, batch.source.tokens)
    assert torch.equal(plain.labels, batch.labels)
    expected = {}
    for row, index in enumerate(chosen.tolist()):
        own = dataset.links(np.array([index]))[:, 1:].tolist()
        for left, right in own:
            expected[row, right, left] = 1.0 / sum(other == right for _, other in own)
    assert expected and as_shares(batch) == pytest.approx(expected)
    assert batch.links is not None
    assert batch.links.tokens == len({(row, right) for row, right, _ in expected})
    assert batch.links.sentences.tolist() == sorted({row for row, _, _ in expected})


def test_halves_and_two_passes_keep_the_links(dataset: ParallelDataset) -> None:
    batch = make_linked_batch(dataset, np.array([5, 20, 3, 14, 0, 11, 5]), SPECIAL_TOKENS)
    shares = as_shares(batch)
    first, second = batch.halves()
    count = len(first.indices)
    assert (
        as_shares(first) | {(row + count, *rest): share for (row, *rest), share in as_shares(second).items()} == shares
    )
    twice = as_shares(batch.twice())
    assert twice == {(row + n, *rest): share / 2 for (row, *rest), share in shares.items() for n in (0, 7)}
    assert first.links is not None and second.links is not None and batch.links is not None
    assert first.links.tokens + second.links.tokens == batch.links.tokens == batch.twice().links.tokens


@pytest.fixture(params=["bpe", "unigram"])
def data(request: Any, corpus: Write, pairs: MakePairs, settings: Settings, tmp_path: Path) -> PreparedData:
    """Text, of which every word is linked to the one at its index."""
    sections = {"tokenizer": {"vocab_size": 340, "type": request.param}, "training": {"subword_sampling": 0.3}}
    train, links = corpus("train", pairs(0, 80)), write_links(tmp_path, ["0-0 1-1 2-2 3-3 4-4"] * 80)
    return prepare(settings(sections, train=train, alignments=links), tmp_path / "prepared")


def test_sampled_pieces_are_linked_as_their_words_are(data: PreparedData) -> None:
    indices = np.array([3, 17, 3, 40])
    sampler = TextSampler(data.train, data.tokenizers, 0.5, 60)
    pairs, links = sampler.gather_linked(indices, 1)
    assert all((a == b).all() for a, b in zip(pairs, sampler.gather(indices, 1), strict=True))
    assert len(pairs.source_tokens) > len(data.train.gather(indices).source_tokens)
    for row in range(len(indices)):
        sides = []
        for tokenizer, tokens, offsets in zip(
            (data.tokenizers.source, data.tokenizers.target), pairs[::2], pairs[1::2], strict=True
        ):
            pieces = tokenizer.pieces(tokens[offsets[row] : offsets[row + 1]].tolist())
            sides.append(np.cumsum([piece.startswith("\u2581") for piece in pieces]) - 1)
        expected = {(i, j) for i, word in enumerate(sides[0]) for j, other in enumerate(sides[1]) if word == other}
        assert {(i, j) for _, i, j in links[links[:, 0] == row].tolist()} == expected


def test_altered_pairs_have_no_links(data: PreparedData) -> None:
    indices, half = np.arange(40), AugmentationSettings(upper_case=0.5)
    sampler = TextSampler(data.train, data.tokenizers, 0.0, 200, augmenter=Augmenter(half))
    pairs, links = sampler.gather_linked(indices, 3)
    usual, expected = data.train.gather_linked(indices)
    same = [
        all(
            np.array_equal(*(tokens[offsets[row] : offsets[row + 1]] for tokens, offsets in (now, before)))
            for now, before in ((pairs[:2], usual[:2]), (pairs[2:], usual[2:]))
        )
        for row in range(40)
    ]
    assert 5 < sum(same) < 35
    assert links.tolist() == [link for link in expected.tolist() if same[link[0]]]
