"""Filters that judge a pair by its text, on pairs that they must keep and pairs that they must drop."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.data.filters import mismatch, shape
from translator.data.filters.mojibake import is_mojibake
from translator.data.filters.script import less_script_than, script_share, scripts_of
from translator.errors import DataError

Judge = Callable[[str, str], bool]


def wrong(text: str) -> str:
    """What UTF-8 becomes if it is read as Windows-1252."""
    return text.encode().decode("cp1252")


def test_wrongly_decoded_text_is_found() -> None:
    texts = [
        "Köln",
        "Österreich",
        "naïve",
        "don’t",
        "“quoted”",
        "Dvořák",
        "Привет",
        "Ελλάδα",
        "שלום",
        "हिन्दी",
        "日本語",
    ]
    # Latin-1 maps every byte, so that all of these come through.
    assert [is_mojibake(text.encode().decode("latin-1")) for text in texts if text not in ("don’t", "“quoted”")] == [
        True
    ] * 9
    assert [text for text in ("Köln", "Österreich", "don’t", "Dvořák", "naïve") if not is_mojibake(wrong(text))] == []
    assert is_mojibake(wrong(wrong("Köln")))
    assert is_mojibake("K\ufffdln")
    assert not any(map(is_mojibake, texts))


@pytest.mark.parametrize(
    "text",
    [
        "MANHÃ”",
        "IRMÃ– de",
        "Ele disse NÃO.",
        "voilà\u00a0»",
        "CAFÉ»",
        "„BÖ“",
        "À\u00a0«",
        "ÂME",
        "Ã ",
        "Žižek — Đurić…",
    ],
)
def test_rare_but_correct_text_is_no_mojibake(text: str) -> None:
    assert not is_mojibake(text)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_ascii_is_never_mojibake(text: str) -> None:
    assert not is_mojibake(text)


@given(st.text(st.characters(min_codepoint=0x410, max_codepoint=0x44F), min_size=3))
def test_a_word_of_three_letters_is_found_however_it_was_damaged(word: str) -> None:
    assert is_mojibake(word.encode().decode("latin-1"))
    assert not is_mojibake(word)


@pytest.mark.parametrize(
    ("judge", "kept", "dropped"),
    [
        (
            shape.are_identical,
            [("Berlin is big.", "Berlin ist groß."), ("東京", "東京都")],
            [("Berlin", "Berlin"), ("HELLO", "hello"), ("東京", "東京")],
        ),
        (shape.longer_than(5), [("12345", "1"), ("", "日本語です")], [("123456", "1"), ("1", "日本語ですね")]),
        (
            shape.fewer_letters_than(0.5),
            [("Good day.", "こんにちは。"), ("हिन्दी में", "ภาษาไทยดีที่สุด"), ("a1", "1a")],
            [("ab 123", "gut"), ("gut", "=== 5 ==="), ("...", "…")],
        ),
        (
            mismatch.have_different_numbers,
            [
                ("It cost 1,000.50 euros in 2019.", "2019 kostete es 1.000,50 Euro."),
                ("On 11/30/2026", "Am 30.11.2026"),
                ("Two of 5 men", "Zwei von fünf Männern"),
                ("pi is 3.14", "Pi ist 3,14"),
                ("in 2019", "في عام ٢٠١٩"),
                ("1 000 000 people", "1.000.000 Menschen"),
                ("area 51 m²", "Zone 51 m²"),
            ],
            [("in 2019", "im Jahr 2018"), ("12 and 12", "12"), ("room 101", "das Zimmer"), ("", "٢٠١٩")],
        ),
        (
            mismatch.have_different_addresses,
            [
                ("See https://example.org/a.", "Siehe https://example.org/a"),
                ("(www.Example.org)", "www.example.org!"),
                ("Write to a.b@example.org.", "a.b@example.org に書く"),
                ("meet @ noon", "um 12 Uhr"),
            ],
            [
                ("See https://example.org/a", "Siehe https://example.org/b"),
                ("Write to a@example.org", "Schreib an b@example.org"),
                ("www.example.org", "die Seite"),
            ],
        ),
        (
            mismatch.have_different_balance,
            [
                ("a) the first", "a) der erste"),
                ("He said “no” (twice).", "Er sagte „nein“ (zweimal)."),
                ("He said 'no' [sic]", "Er sagte ‚nein‘ [sic]"),
                ('"No," he said.', "「いいえ」と彼は言った。"),
                ("(a)", "（甲）"),
                ("“An open quotation", "„Ein offenes Zitat"),
            ],
            [("(a", "(a)"), ("a]", "a"), ('He said "no.', "Er sagte „nein“."), ("{x}", "{x")],
        ),
    ],
)
def test_judges(judge: Judge, kept: list[tuple[str, str]], dropped: list[tuple[str, str]]) -> None:
    assert [pair for pair in kept if judge(*pair)] == []
    assert [pair for pair in dropped if not judge(*pair)] == []


@given(st.text(), st.text())
def test_which_side_is_the_source_makes_no_difference(source: str, target: str) -> None:
    for judge in (
        shape.are_identical,
        shape.longer_than(3),
        shape.fewer_letters_than(0.4),
        mismatch.have_different_numbers,
        mismatch.have_different_addresses,
        mismatch.have_different_balance,
    ):
        assert judge(source, target) == judge(target, source)


@given(st.text())
def test_a_text_agrees_with_itself(text: str) -> None:
    assert not mismatch.have_different_numbers(text, text)
    assert not mismatch.have_different_addresses(text, text)
    assert not mismatch.have_different_balance(text, text)
    assert 0.0 <= shape.letter_share(text) <= 1.0


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Größe ß ÄÖÜ"), ("pl", "zażółć gęślą jaźń"), ("vi", "tiếng Việt"), ("ru", "Ёлка, 5 кг"), ("uk", "їжак"),
        ("el", "Ελλάδα ᾧ"), ("ar", "اللغة العربية"), ("fa", "فارسی"), ("he", "עברית"), ("hi", "हिन्दी में"),
        ("th", "ภาษาไทย"), ("ja", "日本語のテスト"), ("ko", "한국어 漢字"), ("zh", "简体，你好"), ("ka", "ქართული"),
        ("sr", "Београд Beograd"), ("sr-Latn", "Đorđe"), ("srp_Cyrl", "Ђорђе"), ("zh-Hant", "繁體"), ("am", "አማርኛ"),
        ("zho_Hans", "简体"), ("German", "gut"), ("kk_Arab", "قازاق"),
    ],
)  # fmt: skip
def test_a_language_is_in_its_script(language: str, text: str) -> None:
    scripts = scripts_of(language)
    assert scripts is not None and script_share(text, scripts) == 1.0
    other = scripts_of("ta")
    assert other is not None and script_share(text, other) == 0.0


def test_text_in_another_script_is_dropped() -> None:
    judge = less_script_than(0.5, ("en", "ru"))
    assert not judge("Moscow 2020", "Москва (Moscow) 2020")
    assert not judge("12", "12")
    assert judge("Moscow", "Moscow")
    assert judge("Москва", "Москва")
    assert not less_script_than(0.5, ("sr-Latn", "sr_Cyrl"))("Beograd", "Београд")
    with pytest.raises(DataError, match=r"min_script_share: the script of the language \(unknown\) is not known"):
        less_script_than(0.5, ("en", None))
    with pytest.raises(DataError, match="the script of the language source is not known"):
        less_script_than(0.5, ("source", "target"))
