"""What the tests of markup share."""

from pathlib import Path

import pytest

from translator.translation import Translator


@pytest.fixture(scope="session")
def tiny_translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, device="cpu")
