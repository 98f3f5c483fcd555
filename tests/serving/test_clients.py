"""Clients of the package index, as they are, and requests made up from the description of the API."""

from collections.abc import Callable
from typing import Any

import pytest

LINE = "a dog runs."
OTHER = "the man reads."


def test_libretranslatepy(server: Any, expected: Callable[..., list[str]]) -> None:
    import libretranslatepy as library

    client = library.LibreTranslateAPI(server.url)
    assert client.translate(LINE, "en", "de") == expected(LINE)[0]
    assert {own["code"] for own in client.languages()} == {"en", "de"}
    assert client.detect("The old farmer has slept.")[0]["language"] == "en"


def test_deep_translator(server: Any, expected: Callable[..., list[str]]) -> None:
    import deep_translator as library

    client = library.LibreTranslator(source="en", target="de", api_key="x", custom_url=f"{server.url}/")
    assert client.translate(LINE) == expected(LINE)[0]
    assert client.translate_batch([LINE, OTHER]) == expected(LINE, OTHER)


def test_translate(server: Any, expected: Callable[..., list[str]]) -> None:
    import translate as library

    client = library.Translator(
        provider="libre", to_lang="de", from_lang="en", base_url=server.url, secret_access_key="x"
    )
    assert client.translate(LINE) == expected(LINE)[0]


def test_libretranslate_aio(server: Any, expected: Callable[..., list[str]], tmp_path: Any) -> None:
    import libretranslate_aio as library

    client = library.LibreTranslate(server.url)
    assert client.translate(LINE, source="en", target="de").translated_text == expected(LINE)[0]
    found = client.translate([LINE, OTHER], source="auto", target="de", alternatives=2)
    assert len(found.translated_text if hasattr(found, "translated_text") else found) == 2
    assert [own.code for own in client.languages()] == ["de", "en"]
    assert client.detect("The old farmer has slept.")[0].language == "en"
    assert client.frontend_settings().char_limit == 200_000
    file = tmp_path / "a.txt"
    file.write_text(LINE)
    translated = client.translate_file(file, source="en", target="de")
    assert server.get(translated.translated_file_url.removeprefix(server.url)) == (200, expected(LINE)[0])
    with pytest.raises(library.BadRequestError, match="not supported"):
        client.translate(LINE, source="en", target="fr")


def test_no_made_up_request_is_an_error_of_the_server(server: Any) -> None:
    import hypothesis
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    answered = 0
    for operation in (own.ok() for own in schema.get_all_operations()):

        @hypothesis.settings(
            max_examples=20, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy())
        def send(case: Any) -> None:
            nonlocal answered
            response = case.call(base_url=server.url)
            assert response.status_code < 500, response.text
            answered += 1

        send()
    assert answered > 80
    assert server.get("/ready")[0] == 200
    assert "Traceback" not in server.messages()
