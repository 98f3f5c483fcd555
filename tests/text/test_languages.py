"""Languages are known by codes of any kind and by name."""

import pytest

from translator.text.languages import language_code, read_direction, same_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"), ("EN-us", "en"), ("eng", "en"), ("eng_Latn", "en"), ("English", "en"), (" Deutsch ", "de"),
        ("zh_Hans", "zh"), ("cmn", None), ("cs", "cs"), ("čeština", "cs"), ("xx", None), ("a dog", None), ("", None),
        ("日本語", "ja"), ("iu", "iu"),
    ],
)  # fmt: skip
def test_codes_and_names(text: str, code: str | None) -> None:
    assert language_code(text) == code


def test_regions_may_be_left_out() -> None:
    assert same_language("en", "en-US") and same_language("pt_BR", "pt") and same_language("deu", "de")
    assert not same_language("pt-BR", "pt-PT") and not same_language("en", "de")
    assert same_language("tlh", "TLH"), "codes that are not in the table are compared as they are"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("en-pt", ("en", "pt")),
        ("EN-DE", ("EN", "DE")),
        ("en_US-pt_BR", ("en_US", "pt_BR")),
        ("en-pt-BR", ("en", "pt-BR")),
        ("pt-BR-en", ("pt-BR", "en")),
        ("zh-Hant-es-419", ("zh-Hant", "es-419")),
        ("en-pt-br", None),
        ("en", None),
        ("en-", None),
        ("-en", None),
        ("runs/en-de", None),
    ],
)
def test_directions(text: str, expected: tuple[str, str] | None) -> None:
    assert read_direction(text) == expected
