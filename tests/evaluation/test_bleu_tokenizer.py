"""The tokenizer of BLEU follows the target language, as people write its code, and the text."""

import sys

import pytest

from translator.errors import EvaluationError
from translator.evaluation import choose_tokenizer, default_tokenizer

JAPANESE = ["彼はつらい人生を送った。", "ごめんなさい。早く帰らなくちゃ。"]
CHINESE = ["一只狗在跑。", "两个男人在说话。"]
KOREAN = ["나는 학교에 갑니다."]
THAI = ["ฉันรักคุณ", "สวัสดีครับ"]
KHMER, LAO, BURMESE = ["ខ្ញុំស្រលាញ់អ្នក"], ["ຂ້ອຍຮັກເຈົ້າ"], ["ငါသင့်ကိုချစ်တယ်"]
CODES = [
    ("ja-mecab", JAPANESE, "ja jpn jpn_Jpan ja-JP ja_JP.UTF-8 JA jp japanese"),
    ("zh", CHINESE, "zh zho zho_Hans zho_Hant zh-CN zh_TW zh-Hant-HK cmn cmn_Hans chi yue yue_Hant"),
    ("ko-mecab", KOREAN, "ko kor kor_Hang ko-KR"),
    ("char", THAI, "th tha tha_Thai th-TH"),
    ("char", KHMER, "km khm khm_Khmr"),
    ("char", LAO, "lo lao lao_Laoo"),
    ("char", BURMESE, "my mya mya_Mymr bur"),
]


@pytest.mark.parametrize(
    ("code", "expected", "lines"), [(code, name, lines) for name, lines, codes in CODES for code in codes.split()]
)
def test_every_way_of_writing_a_code(code: str, expected: str, lines: list[str]) -> None:
    assert default_tokenizer(code) == default_tokenizer(code, lines) == expected


@pytest.mark.parametrize("code", [None, "", "target", "text_b", "de", "deu_Latn"])
@pytest.mark.parametrize(("expected", "lines"), [(name, lines) for name, lines, _ in CODES])
def test_the_text_decides_where_the_code_does_not(code: str | None, expected: str, lines: list[str]) -> None:
    assert default_tokenizer(code, lines) == expected


@pytest.mark.parametrize("code", ["de", "deu_Latn", "pt-BR", "en", "ru", "hi", "ar", "vie", None, "target"])
@pytest.mark.parametrize("lines", [["Ein Hund, der rennt."], ["собака бежит"], ["नमस्ते दुनिया"], ["123."], []])
def test_text_with_spaces_has_the_usual_one(code: str | None, lines: list[str]) -> None:
    assert default_tokenizer(code, lines) == "13a"


def test_the_text_overrules_the_code() -> None:
    assert default_tokenizer("ja", ["watashi wa gakusei desu"]) == "13a"
    assert default_tokenizer("ja", ["config.yaml を保存し、translator train を実行する。"]) == "ja-mecab"
    assert default_tokenizer("ja", ["東京都"]) == "ja-mecab"
    assert default_tokenizer("ja_Latn") == default_tokenizer("zho_Latn") == "13a"
    assert default_tokenizer("de", ["Das Wort 東京 heißt Tokio."]) == "13a"


@pytest.mark.parametrize(
    ("module", "language", "suited"), [("MeCab", "ja", "ja-mecab"), ("mecab_ko", "kor", "ko-mecab")]
)
def test_characters_where_mecab_is_missing(
    module: str, language: str, suited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"sacrebleu.tokenizers.tokenizer_{suited.replace('-', '_')}"
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    lines = JAPANESE if language == "ja" else KOREAN
    chosen, note = choose_tokenizer("auto", language, lines)
    assert chosen == "char"
    assert note is not None and suited in note and f"pip install 'sacrebleu[{language[:2]}]'" in note
    # What somebody asks for by name is not replaced.
    with pytest.raises(EvaluationError, match=f"{suited} is not available here"):
        choose_tokenizer(suited, language, lines)


def test_what_is_not_obvious_is_said() -> None:
    assert choose_tokenizer("auto", "de", ["Ein Hund."]) == ("13a", None)
    assert choose_tokenizer("auto", "zho_Hans", CHINESE) == ("zh", "BLEU uses the tokenizer zh, which suits Chinese")
    assert choose_tokenizer("none", "zh", CHINESE) == ("none", None)
    with pytest.raises(EvaluationError, match="no BLEU tokenizer '14a'"):
        choose_tokenizer("14a", "de", ["Ein Hund."])
