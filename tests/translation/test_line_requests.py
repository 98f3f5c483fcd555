"""What an engine is asked for each line: from constraints and glossaries to piece ids."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from translator.config import DecodingSettings
from translator.config.sections import TokenizerSettings
from translator.decoding.hypothesis import Request
from translator.errors import ConfigError
from translator.text import Tokenizer, train_tokenizers
from translator.translation.constrained_line import ConstrainedLine
from translator.translation.glossary import Glossary
from translator.translation.line_requests import LineRequests, Target

PLAIN: Any = SimpleNamespace(name="plain", longest_source=None)
CONSTRAINED: Any = SimpleNamespace(name="constrained")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    lines = ["機械学習、機械と学習。", "猫、機械。犬、学習。", "a cat, the dog"] * 5
    settings = TokenizerSettings(vocab_size=300)
    return train_tokenizers(
        lambda: zip(lines, lines, strict=True), settings, tmp_path_factory.mktemp("ja"), seed=1
    ).target


def asked_for(tokenizer: Tokenizer, line: ConstrainedLine, texts: list[str], target: Target, **options: Any) -> Any:
    settings = DecodingSettings.model_validate(options.pop("settings", {}))
    longest = options.pop("longest", None)
    engine: Any = SimpleNamespace(name="limited", longest_source=longest) if longest else PLAIN
    ask = LineRequests(tokenizer, settings, engine, lambda **_: CONSTRAINED, **options)
    return ask(line, target, texts, [[7, 8]] * len(texts))


def test_a_plain_line_is_what_the_settings_say(tokenizer: Tokenizer) -> None:
    settings = {"prefix": "a cat", "required": ["dog"], "banned": ["the"]}
    first, second = asked_for(tokenizer, ConstrainedLine("x y"), ["x", "y"], Target(), settings=settings)
    prefix, dog = (tuple(ids) for ids in tokenizer.encode(["a cat", "dog"]))
    assert first[:2] == (PLAIN, Request((7, 8), prefix, ("the",), (dog,)))
    assert second[:2] == (PLAIN, Request((7, 8), (), ("the",), ()))


def test_a_prefix_that_the_model_cannot_write_is_refused(tokenizer: Tokenizer) -> None:
    """Other than a long source, which can be split."""
    line = ConstrainedLine("x", prefix="a cat", where="news.jsonl, line 7")
    count = len(tokenizer.encode(["a cat"])[0])
    asked_for(tokenizer, line, ["x"], Target(), longest=count)
    problem = f"news.jsonl, line 7:\n  prefix: found {count} pieces, and the model writes at most {count - 1}; shorten"
    with pytest.raises(ConfigError, match=problem):
        asked_for(tokenizer, line, ["x"], Target(), longest=count - 1)


def test_terms_are_asked_of_the_parts_that_hold_them(tokenizer: Tokenizer) -> None:
    glossary = Glossary({"cat": "dog", "a b": "the"})
    parts = asked_for(tokenizer, ConstrainedLine("a b cat"), ["a", "b cat"], Target(), glossary=glossary)
    dog, the = (tuple(ids) for ids in tokenizer.encode(["dog", "the"]))
    assert [part.request.required for part in parts] == [(the,), (dog,)]
    assert [part.without_terms.required for part in parts] == [(), ()]
    assert all(part.engine is CONSTRAINED for part in parts)


def test_a_phrase_of_a_language_without_spaces_begins_without_one(tokenizer: Tokenizer) -> None:
    line = ConstrainedLine("cat", required=["機械"])
    (spaced,) = asked_for(tokenizer, line, ["cat"], Target(language="de"))
    (unspaced,) = asked_for(tokenizer, line, ["cat"], Target(language="ja-JP"))
    (phrase,) = unspaced.request.required
    assert tokenizer.pieces(spaced.request.required[0])[0].startswith("▁")
    assert "".join(tokenizer.pieces(phrase)) == "機械"
    # In the middle of a sentence, where the tokenizer writes it in these pieces.
    (whole,) = tokenizer.encode(["猫、機械。"])
    assert any(tuple(whole[start : start + len(phrase)]) == phrase for start in range(len(whole)))


def test_unknown_terms_are_named_once(tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text("a\ta\nb\t\N{CAT FACE}\n")
    without_bytes: Any = SimpleNamespace(
        unk_id=0, encode=lambda texts: [[0] if "\N{CAT FACE}" in text else [5] for text in texts]
    )
    glossary = Glossary.read(file)
    (part,) = asked_for(without_bytes, ConstrainedLine("a b"), ["a b"], Target(), glossary=glossary)
    assert part.terms == (("a", "a"),)
    message = f"{file}: the vocabulary cannot write 1 of 2 terms, which are left out: 'b' -> '\N{CAT FACE}'"
    assert message in capsys.readouterr().err
