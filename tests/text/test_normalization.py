"""By default a text comes back from the tokenizer as a reader sees it; other rules are a choice, one for each side."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from translator.config import TokenizerSettings
from translator.errors import TokenizerError
from translator.text import Tokenizer, TokenizerPair, train_tokenizers
from translator.text.normalization import as_seen, rule_options

LINES = ["20 m² of ½ an acre", "№ 5 by Sony™ costs 10⁻³ €", "H₂O ① ﬁle １", "猫が好きです。", "ガギグ", "한국어"]
REAL = [
    "20 m²", "10⁻³", "½", "№", "①", "H₂O", "Sony™", "ﬁn", "Ⅷ", "…", "x′ + y″", "１２３", "ｶﾀｶﾅ",
    "我们在北京（中国）见面，２０２４年。", "他说：“好！”——然后走了……",
    "東京都の面積は２，１９４㎢です。", "ﾊﾝｶｸと全角　空白",
    "ภาษาไทยไม่มีช่องว่าง น้ำใจ", "« Où est l'œuvre ? » dit‑elle.", "L’été, 5 000 €", "한국어 문장", "नमस्ते दुनिया",
    "می‌خواهم", "👩‍👩‍👧 family", "a\u00a0b\u202fc\u2009d\u3000e",
]  # fmt: skip


def train(directory: Path, **settings: object) -> TokenizerPair:
    chosen = TokenizerSettings.model_validate({"vocab_size": 400, **settings})
    return train_tokenizers(lambda: ((line, line) for line in LINES * 3), chosen, directory)


def back(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.decode(tokenizer.encode([text])[0])


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    pair = train(tmp_path_factory.mktemp("usual"))
    assert pair.joint
    return pair.target


@pytest.mark.parametrize("text", REAL)
def test_real_text_comes_back(usual: Tokenizer, text: str) -> None:
    assert back(usual, text) == unicodedata.normalize("NFC", text)
    for form in ("NFC", "NFD"):
        assert as_seen(back(usual, unicodedata.normalize(form, text))) == as_seen(text)


# U+2581 is the space inside SentencePiece; a line has no line feed, and runs of spaces and spaces at the ends are one.
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\u2581 "), min_size=1)


@given(st.lists(plain, max_size=4).map(" ".join))
@example("a\u0302\u0323 e\u0323\u0302")
@example("\u1100\u1161\u11a8")
@example("\0\t\r\u00ad\ufeff")
def test_every_text_comes_back_in_nfc(usual: Tokenizer, text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert back(usual, composed) == composed
    # Marks in an order of their own may keep it, which looks the same.
    assert unicodedata.normalize("NFC", back(usual, text)) == composed


@given(st.integers(0, 0x10FFFF).filter(lambda code: not 0xD800 <= code < 0xE000).map(chr))
def test_every_decomposed_character_is_composed(usual: Tokenizer, character: str) -> None:
    decomposed, composed = (unicodedata.normalize(form, f"a{character}b") for form in ("NFD", "NFC"))
    if not set(composed) & {"\u2581", " ", "\n"}:
        assert back(usual, decomposed) == composed


@pytest.mark.parametrize(
    "rule, expected",
    [
        ("nfkc", "20 M2 fi"),
        ("nfkc_cf", "20 m2 fi"),
        ("nmt_nfkc", "20 M2 fi"),
        ("identity", "20 M² ﬁ"),
        ("nfc", "20 M² ﬁ"),
    ],
)
def test_rules_by_name_for_both_sides_and_for_the_source_alone(tmp_path: Path, rule: str, expected: str) -> None:
    text = "20 M² ﬁ"
    assert back(train(tmp_path / "both", normalization=rule).source, text) == expected
    for joint in (True, False):
        pair = train(tmp_path / str(joint), source_normalization=rule, joint=joint)
        assert back(pair.source, text) == expected and back(pair.target, text) == text
        assert pair.share_ids or not joint


def test_two_files_with_the_same_pieces_where_only_the_source_is_normalised(tmp_path: Path) -> None:
    pair = train(tmp_path, source_normalization="nfkc")
    assert {file.name for file in tmp_path.iterdir()} == {"tokenizer.source.model", "tokenizer.target.model"}
    text = "an acre of Sony"
    assert pair.source.encode([text]) == pair.target.encode([text])
    # The vocabulary has what both rules leave: `m2` for the source, `m²` for the target.
    assert pair.source.encode(["²"]) == pair.target.encode(["2"])
    assert not any(pair.target.is_byte(piece) for piece in pair.target.encode(["²"])[0])


def test_table_of_ones_own(tmp_path: Path) -> None:
    table = tmp_path / "rules.tsv"
    table.write_text("FB01\t66 69\n2122\t\n")
    settings = {"normalization_table": str(table)}
    assert back(train(tmp_path / "a", normalization="table", **settings).target, "ﬁle Sony™ m²") == "file Sony m²"
    pair = train(tmp_path / "b", source_normalization="table", **settings)
    assert back(pair.source, "ﬁle") == "file" and back(pair.target, "ﬁle") == "ﬁle"


@pytest.mark.parametrize("content", ["FB01 66\n", "ﬁ\tfi\n", "FB01\t110000\n", "\t66\n"])
def test_damaged_table_is_named_with_its_line(tmp_path: Path, content: str) -> None:
    table = tmp_path / "rules.tsv"
    table.write_text("FB01\t66 69\n" + content)
    said = r"rules.tsv, line 2: found .* expected code points"
    with pytest.raises(TokenizerError, match=said), rule_options("table", str(table)):
        pass
    said = "cannot read tokenizer.normalization_table"
    with pytest.raises(TokenizerError, match=said), rule_options("table", str(tmp_path / "none.tsv")):
        pass
