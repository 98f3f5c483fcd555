"""A run whose model can have any shape, for the tests of every export."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import Bundle, load_bundle
from translator.config import Config
from translator.model import build_model
from translator.text import TokenizerPair, train_tokenizers


@pytest.fixture
def bundle(tiny_run: Path, tmp_path: Path) -> Bundle:
    """The tiny run, in a directory of its own that is empty."""
    return dataclasses.replace(load_bundle(tiny_run, device="cpu"), directory=tmp_path)


@pytest.fixture(scope="session")
def with_model() -> Callable[..., Bundle]:
    """The run with another shape of model, whose every weight is large enough to matter."""

    def make(bundle: Bundle, seed: int = 5, **shape: Any) -> Bundle:
        config = bundle.config.model_copy(update={"model": bundle.config.model.model_copy(update=shape)})
        tokenizers = bundle.tokenizers
        model = build_model(config.model, *tokenizers.sizes, seed, tokenizers.target.zero_start).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
        return dataclasses.replace(bundle, config=config, model=model)

    return make


@pytest.fixture
def with_two_vocabularies(tmp_path: Path) -> Callable[[Bundle], Bundle]:
    """The run with a smaller vocabulary for its target."""

    def make(bundle: Bundle) -> Bundle:
        lines = [f"{first} {second}" for first in ("ein", "der", "das") for second in ("Hund", "Haus", "Mann")]
        settings = Config.model_validate({"tokenizer": {"vocab_size": 300}}).tokenizer
        directory = tmp_path / "german"
        directory.mkdir()
        target = train_tokenizers(lambda: iter(zip(lines, lines, strict=True)), settings, directory, seed=1).target
        source = bundle.tokenizers.source
        assert source.vocab_size > target.vocab_size
        return dataclasses.replace(bundle, tokenizers=TokenizerPair(source, target, False))

    return make


@pytest.fixture
def with_tags(tmp_path: Path) -> Callable[[Bundle], Bundle]:
    """The run as one that translates into German and Dutch."""

    def make(bundle: Bundle) -> Bundle:
        lines = [f"{first} {second}" for first in ("a", "the", "one") for second in ("dog", "Haus", "man")]
        settings = Config.model_validate({"tokenizer": {"vocab_size": 300}}).tokenizer
        directory = tmp_path / "tags"
        directory.mkdir()
        pairs = [(line, line) for line in lines]
        tokenizers = train_tokenizers(lambda: iter(pairs), settings, directory, seed=1, languages=["de", "nl"])
        data = bundle.config.data.model_copy(update={"language_tags": True, "target_language": None})
        config = bundle.config.model_copy(update={"data": data})
        return dataclasses.replace(bundle, tokenizers=tokenizers, config=config)

    return make
