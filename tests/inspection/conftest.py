"""Fixtures for tests of the page: made-up maps, and a headless browser."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.inspection.browser import Browser, installed
from translator.config import KINDS
from translator.inspection import AttentionMaps
from translator.inspection.page import attention_page


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One window; without a browser, tests are skipped, or fail if `TRANSLATOR_BROWSER` is `required`."""
    programs = installed()
    if programs is None:
        reason = "no chromium and chromedriver on PATH; install Debian's chromium and chromium-driver"
        if os.environ.get("TRANSLATOR_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    window = Browser(*programs, tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


PIECES = {"source": ("▁A", "▁dog", "▁run", "s", "."), "target": ("▁Ein", "▁Hund", "▁renn", "t", ".")}
HEADS = {"encoder": (2, 3), "decoder": (2, 2), "cross": (3, 2)}


@pytest.fixture(scope="session")
def make_maps() -> Callable[..., AttentionMaps]:
    """Make maps with random weights from pieces without special tokens; `heads` are counts by layer."""

    def make(
        source: Sequence[str] = PIECES["source"],
        target: Sequence[str] = PIECES["target"],
        heads: Mapping[str, Sequence[int]] = HEADS,
        seed: int = 1,
        **values: Any,
    ) -> AttentionMaps:
        read, given = (*source, "</s>"), ("<s>", *target)
        sizes = {
            "encoder": (len(read), len(read)),
            "decoder": (len(given), len(given)),
            "cross": (len(given), len(read)),
        }
        generator = np.random.default_rng(seed)

        def softmax(kind: str, count: int) -> NDArray[np.float32]:
            weights = np.exp(generator.normal(scale=2.0, size=(count, *sizes[kind])))
            weights = np.tril(weights) if kind == "decoder" else weights
            return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)

        texts = {"source_text": "A dog runs.", "target_text": "Ein Hund rennt.", "run": "made-up"}
        weights = {kind: tuple(softmax(kind, count) for count in heads[kind]) for kind in KINDS}
        sides = {"source": read, "target": given, "predicted": (*target, "</s>")}
        return AttentionMaps(**{**sides, **texts, "weights": weights, **values})

    return make


@pytest.fixture
def open_page(browser: Browser, make_maps: Any, tmp_path: Path) -> Iterator[Callable[..., AttentionMaps]]:
    """Open the page of made-up maps; after the test, check that it loaded nothing else and logged no error."""
    path = tmp_path / "attention.html"

    def open_maps(checkpoints: dict[int, AttentionMaps] | None = None, **values: Any) -> AttentionMaps:
        maps: AttentionMaps = make_maps(**values)
        path.write_text(attention_page(maps, checkpoints), encoding="utf-8")
        browser.open(path)
        browser.wait("document.body.dataset.ready")
        return maps

    yield open_maps
    assert browser.requests() == [path.as_uri()]
    assert browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    # Chromium logs a warning when a test reads pixels.
    assert [entry for entry in browser.logged("browser") if "getImageData" not in entry["message"]] == []
