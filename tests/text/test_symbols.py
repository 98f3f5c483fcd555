"""Symbols that are always one piece, and digits that are pieces of their own."""

from pathlib import Path

import pytest

from translator.config import TokenizerSettings, load_config
from translator.errors import ConfigError
from translator.text import TokenizerPair, train_tokenizers

SYMBOLS = ["<ph1>", "{Name}", "%s", "a,b", "<ph10>", "²"]
LINES = ["the cat <ph1> sees {Name} in 2024", "the <ph of a <ph1 costs 2020 €", "the theme, {Name}: %s"]
TEXTS = ["<ph1>", "the <ph1> cat", "the<ph10>cat,{Name}s!", "{name} <ph1 a,b%s<ph1><ph10>²", "see %s%s"]


def train(directory: Path, **settings: object) -> TokenizerPair:
    chosen = TokenizerSettings.model_validate({"vocab_size": 400, **settings})
    return train_tokenizers(lambda: ((line, line) for line in LINES * 5), chosen, directory)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("rule", ["nfc", "nfkc_cf"])
def test_symbols_are_one_piece_and_come_back(tmp_path: Path, kind: str, rule: str) -> None:
    tokenizer = train(tmp_path, user_defined_symbols=SYMBOLS, type=kind, normalization=rule).target
    for text in TEXTS:
        (ids,) = tokenizer.encode([text])
        assert tokenizer.decode(ids) == text
        expected = [symbol for symbol in SYMBOLS for _ in range(text.replace("<ph10>", "#").count(symbol))]
        expected += ["<ph10>"] * text.count("<ph10>")
        assert sorted(piece for piece in tokenizer.pieces(ids) if piece in SYMBOLS) == sorted(expected)
        # Segmentations that are drawn at random split the rest only.
        drawn = {tuple(tokenizer.sample([text], 0.5, seed)[0]) for seed in range(20)}
        for sampled in drawn:
            assert sorted(piece for piece in tokenizer.pieces(sampled) if piece in SYMBOLS) == sorted(expected)
            assert tokenizer.decode(sampled) == text
    assert len({tuple(tokenizer.sample(["the <ph1> theme"], 0.5, seed)[0]) for seed in range(20)}) > 1


def test_symbols_survive_a_rule_of_the_source_alone(tmp_path: Path) -> None:
    pair = train(tmp_path, user_defined_symbols=SYMBOLS, source_normalization="nfkc_cf")
    ids = pair.source.encode(["The {Name} ² ½"])[0]
    assert pair.source.decode(ids) == "the {Name} ² 1⁄2" and pair.share_ids


def test_digits_are_pieces_of_their_own(tmp_path: Path) -> None:
    for split in (True, False):
        tokenizer = train(tmp_path / str(split), split_digits=split).target
        longest = max(sum(map(str.isdigit, piece)) for piece in tokenizer.pieces(tokenizer.encode(["in 2024"])[0]))
        assert (longest == 1) == split


@pytest.mark.parametrize("symbols", ["['a b']", "['']", "[a\u2581]", "a"])
def test_impossible_symbols_are_refused(symbols: str) -> None:
    with pytest.raises(ConfigError, match="user_defined_symbols"):
        load_config(None, [f"tokenizer.user_defined_symbols={symbols}"])
