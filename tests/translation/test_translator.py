"""The Python door: iterators in, iterators out, for several threads, over any engine."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from translator.errors import ConfigError
from translator.translation import Translator

LINES = ["a dog runs.", "", "the man reads in the house on the street", "x", "the cat " * 9]


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, device="cpu")


def test_iterators_in_iterators_out(translator: Translator) -> None:
    def lines() -> object:
        yield from LINES
        raise AssertionError("read too far")

    found = translator.translate(lines(), window=1)  # type: ignore[arg-type]
    assert [next(found) for _ in LINES] == list(translator.translate(LINES))


def test_settings_of_a_call_count_for_it_alone(translator: Translator) -> None:
    usual = list(translator.translate(LINES))
    short = list(translator.translate(LINES, max_length_factor=0, max_length_extra=1))
    assert short != usual
    assert list(translator.translate(LINES)) == usual


def test_details_agree_with_the_text(translator: Translator) -> None:
    texts = list(translator.translate(LINES, beam_size=3))
    details = list(translator.translate_in_detail(LINES, beam_size=3, n_best=3, alignment="1.1"))
    assert [line.text for line in details] == texts
    assert [line.source for line in details] == LINES
    for line in details:
        scores = [own.score for own in line.translations]
        assert scores == sorted(scores, reverse=True)
        assert len({own.pieces for own in line.translations}) == len(scores) == (3 if line.source else 1)


def test_several_threads_get_what_one_gets(translator: Translator) -> None:
    expected = list(translator.translate(LINES))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: list(translator.translate(LINES)), range(8)))
    assert found == [expected] * 8


def test_an_ensemble_of_a_run_with_itself_is_the_run(tiny_run: Path, translator: Translator) -> None:
    both = Translator.load(tiny_run, together_with=[tiny_run], device="cpu")
    assert list(both.translate(LINES)) == list(translator.translate(LINES))


def test_banned_text_is_not_written(translator: Translator) -> None:
    line = next(translator.translate(["a dog runs."]))
    word = line.split()[0]
    assert word not in next(translator.translate(["a dog runs."], banned=[word])).split()


def test_mistakes_are_said_at_once(tiny_run: Path, translator: Translator) -> None:
    with pytest.raises(ConfigError, match=r"decoding.n_best: 3 translations cannot come from decoding.beam_size = 2"):
        translator.translate([], n_best=3)
    with pytest.raises(ConfigError, match=r"did you mean decoding.beam_size\?"):
        translator.translate([], beam_sise=3)
    with pytest.raises(ConfigError, match="engine: found 'marian', expected auto, native or ctranslate2"):
        Translator.load(tiny_run, engine="marian")
    with pytest.raises(ConfigError, match="the ctranslate2 engine takes one run"):
        Translator.load(tiny_run, together_with=[tiny_run], engine="ctranslate2")
