"""Directions: which model gets a text, by codes that may differ in script and region."""

from types import SimpleNamespace
from typing import Any

import pytest

from translator.serving.directions import Directions
from translator.serving.refusals import RequestError


def model(source: str, *targets: str) -> Any:
    return SimpleNamespace(source=source, targets=list(targets))


SERVED = Directions(
    [model("en", "pt-BR", "de"), model("pt-PT", "en"), model("zh-Hans", "en"), model("en", "zh-Hant", "pt_AO", "sr")]
)


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("en", "pt-BR", ("en", "pt-BR")),
        ("en", "pt-br", ("en", "pt-BR")),
        ("EN-GB", "de-AT", ("en", "de")),
        ("en", "pt-AO", ("en", "pt_AO")),
        ("eng", "pt", ("en", "pt-BR")),
        ("en", "sr-Latn", ("en", "sr")),
        ("zh", "en", ("zh-Hans", "en")),
    ],
)
def test_a_code_may_leave_out_a_region_or_have_one_more(source: str, target: str, found: tuple[str, str]) -> None:
    direction, detected = SERVED.find("A text.", source, target)
    assert direction is not None and (direction.model.source, direction.target) == found
    assert detected == (source, 100.0)


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        ("en", "pt-PT", "pt-PT is not available as a target language from en"),
        ("pt-BR", "en", "en is not available as a target language from pt-BR"),
        ("zh-Hant", "en", "en is not available as a target language from zh-Hant"),
        ("en", "zh-Hans", "zh-Hans is not available as a target language from en"),
        ("en", "zh-TW", "zh-TW is not supported; expected one of de, en, pt-BR, pt-PT, pt_AO, sr, zh-Hans, zh-Hant"),
        ("fr", "en", "fr is not supported; expected auto or one of"),
    ],
)
def test_another_region_or_script_is_another_language(source: str, target: str, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        SERVED.find("A text.", source, target)


def test_the_target_as_the_request_writes_it_comes_before_one_like_it() -> None:
    served = Directions([model("en-US", "pt-BR", "pt"), model("en", "fr")])
    direction, _ = served.find("A text.", "en", "pt")
    assert direction is not None and direction.target == "pt"


def test_every_listed_target_is_found_also_from_a_detected_source() -> None:
    for own in SERVED.languages():
        for target in own["targets"]:
            assert SERVED.find("A text.", own["code"], target)[0] is not None
    direction, detected = SERVED.find("The dog runs in the garden with the children.", "auto", "pt-BR")
    assert direction is not None and detected.language == "en"
    assert SERVED.find("O cachorro corre no jardim com as crianças.", "auto", "pt-BR")[0] is None
    assert SERVED.find("O cão corre no jardim com as crianças.", "auto", "en")[1].language in ("pt-PT", "pt-BR")
