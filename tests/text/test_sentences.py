"""Ends of sentences: none is lost, and they are where a reader of the language sees them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.text.sentences import base_language, split_sentences

LANGUAGES = ["en", "de", "el", "ja", "zh", "th", "hi", "ar", "bo", "ru", None]
SENTENCES = {
    "en": [
        "Dr. Smith paid $3.50 to J. R. Tolkien Inc. in Washington, D.C. yesterday. ", 'He said "No way." ',
        "Then he left... and came back at 5 p.m. sharp. ", "See Fig. 3 (p. 12) etc. for more. ", "Is it? ", "Yes!\t",
        "(It was.) ",
        "He works at www.site.com/a.b. ", '"Really?!" she asked. ', "I am 5.\u00a0", "1. One. ", "2. Two.",
    ],
    "deu_Latn": [
        "Am 3. Oktober 1990 kam z. B. Prof. Dr. Müller. ", "Das war die 2. Auflage von 1985. ", "„Was?“, sagte er. ",
        "Er sagte: „Nein.“ ", "Dann ging er usw. und kam ca. 5 Min. später.",
    ],
    "fr": ["M. Dupont est là… ", "« Où ? » demanda-t-il. ", "Ici."],
    "ru": ["Он жил на ул. Ленина, т. е. рядом. ", "А. С. Пушкин родился в 1799 г. в Москве. ", "Правда?"],
    "el": ["Τι κάνεις; ", "Καλά. ", "Ο κ. Νίκος ήρθε."],
    "zh-CN": ["今天天气很好。", "“你去吗？”", "他问。", "我说：“不去！”", "价格是３．５元……对吗？"],
    "jpn": ["今日は晴れです。", "「行きますか？」と彼は聞いた。", "（雨。）", "明日は？！"],
    "hi": ["यह एक वाक्य है। ", "क्या यह तीसरा है? ", "हाँ।"],
    "ar": ["هذه جملة. ", "هل هذه جملة أخرى؟ ", "نعم! ", "شكرا."],
    "ur": ["یہ ایک جملہ ہے۔ ", "ہاں۔"],
    "my": ["ကျွန်တော် စားသည်။ ", "သူ သွားသည်။"],
    "am": ["ይህ ዓረፍተ ነገር ነው። ", "ሌላም አለ።"],
    "hy": ["Սա նախադասություն է։ ", "Սա ևս։"],
}  # fmt: skip


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_end_where_readers_see_it(language: str) -> None:
    expected = SENTENCES[language]
    assert split_sentences("".join(expected), language) == expected


@given(
    st.text(st.one_of(st.sampled_from("ab AB.!?…。！ \t\u00a0\u0301\"'()«»“”」1;។"), st.characters()), max_size=60),
    st.sampled_from(LANGUAGES),
)
@settings(max_examples=300)
def test_no_character_is_lost(text: str, language: str | None) -> None:
    parts = split_sentences(text, language)
    assert "".join(parts) == text
    assert all(parts)


def test_what_the_rules_are_not_sure_of_is_not_split() -> None:
    for text in ("Plan B. Then he left.", "He lives in St. Louis.", "wait... what", "a.b.c", "...", ". . ."):
        assert split_sentences(text, "en") == [text]
    assert split_sentences("", "en") == []


def test_a_megabyte_of_punctuation_is_read_once() -> None:
    """Backtracking would take hours."""
    for text in ("." * 10**6, '."' * 500_000, "。" * 10**6, ". " + " " * 10**6, ". " + '"' * 10**6):
        assert "".join(split_sentences(text, "en")) == text


def test_codes_of_languages() -> None:
    codes = ["de", "deu_Latn", "ger", "de-AT", "zh_Hant", "zho", "xx", "", None]
    assert [base_language(code) for code in codes] == ["de", "de", "de", "de", "zh", "zh", "xx", "", ""]
