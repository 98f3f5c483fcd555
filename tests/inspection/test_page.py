"""The page's document loads nothing, stores any text as data, and has the weights of the maps."""

import base64
import fnmatch
import hashlib
import json
import math
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from translator.config import KINDS, Head
from translator.errors import DataError
from translator.inspection import AttentionMaps
from translator.inspection.page import attention_page
from translator.inspection.page.encoding import describe_side, figures, quantise

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "</script><script>window.pwned=1</script>",
    '<img src=x onerror="window.pwned=1">',
    "<!--<script>",
    "]]>{{script}}{{data}}",
    "\"'`\\u003c&lt;&amp;",
    "\u2028\u2029\u0000\ud800 \udfff\u202e\u200b\ufeff",
]


class Parsed(HTMLParser):
    """Collects elements with their attributes in order, and the text of each script and style."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.raw.append((tag, ""))

    def handle_data(self, data: str) -> None:
        if self.elements and self.cdata_elem in ("script", "style"):
            tag, text = self.raw[-1]
            self.raw[-1] = (tag, text + data)

    def data(self) -> dict[str, Any]:
        return json.loads(self.raw[1][1])


def test_document_names_nothing_to_load(make_maps: Any) -> None:
    document = attention_page(make_maps())
    parsed = Parsed(document)
    assert not re.search(r"\w+://|//[\w-]+\.\w|@import|url\(", document.lower())
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import|eval)\s*\(", document)
    for tag, attributes in parsed.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset", "action")
        ]
        assert attributes.get("href", "data:,") == "data:,", tag


def test_policy_allows_only_this_script_and_this_style(make_maps: Any) -> None:
    parsed = Parsed(attention_page(make_maps()))
    (policy,) = [found["content"] for tag, found in parsed.elements if "http-equiv" in found]
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    (style, (_, data), script) = parsed.raw
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for _, text in (script, style)]
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{hashes[0]}'",
        "style-src": f"'sha256-{hashes[1]}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert [found.get("type") for tag, found in parsed.elements if tag == "script"] == ["application/json", None]
    # The policy comes before everything it applies to.
    assert [tag for tag, _ in parsed.elements].index("style") > 3


@given(st.lists(st.text(st.characters(), max_size=20), min_size=6, max_size=6))
@example(HOSTILE)
@example(list(reversed(HOSTILE)))
def test_any_text_is_data(make_maps: Any, texts: list[str]) -> None:
    # Two adjacent surrogates are one character in JSON.
    texts = [text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for text in texts]
    maps = make_maps(source=texts, target=texts, run=texts[0], source_text=texts[1], target_text=texts[2])
    document = attention_page(maps)
    document.encode("utf-8")
    parsed = Parsed(document)
    assert [tag for tag, _ in parsed.raw] == ["style", "script", "script"]
    assert len(parsed.elements) == len(Parsed(attention_page(make_maps())).elements)
    data = parsed.data()
    assert [data["run"], data["sourceText"], data["targetText"]] == texts[:3]
    assert data["sides"]["source"]["pieces"] == [*texts, "</s>"]
    assert data["sides"]["target"]["pieces"] == ["<s>", *texts]
    assert data["sides"]["predicted"]["pieces"] == [*texts, "</s>"]


def test_weights_are_those_of_every_head(make_maps: Any) -> None:
    maps: AttentionMaps = make_maps(heads={"encoder": (2, 3), "decoder": (1, 0), "cross": (3, 1)})
    data = Parsed(attention_page(maps)).data()
    stored = np.frombuffer(base64.b64decode(data["weights"]), np.uint8)
    assert data["layers"] == {kind: 2 for kind in KINDS}
    heads = [Head(*found[:3]) for found in data["heads"]]
    assert heads == list(maps.heads())
    for head in heads:
        expected = maps.of(head)
        own, stored = stored[: expected.size], stored[expected.size :]
        read = (own.reshape(expected.shape) / 255.0) ** 2
        np.testing.assert_allclose(read, expected, rtol=0, atol=0.0040)
        assert not read[expected == 0.0].any()
    assert not stored.size


def test_a_stored_weight_is_as_near_as_the_page_says() -> None:
    weights = np.concatenate([np.linspace(0.0, 1.0, 20001), np.geomspace(4e-6, 1.0, 20001)]).astype(np.float32)
    stored = quantise(weights)
    read = (stored / 255.0) ** 2
    assert np.all(np.abs(read - weights) <= np.sqrt(weights) / 255.0 + 0.25 / 255.0**2)
    assert np.abs(read - weights).max() <= 0.0039
    assert np.abs(read - weights)[weights <= 0.01].max() <= 0.0004
    assert np.array_equal(stored == 0, weights == 0.0)
    assert quantise(np.float32([0.0, 1.0, 3e-6, 1.0000001])).tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_means_of_rows(make_maps: Any, kind: str) -> None:
    maps: AttentionMaps = make_maps()
    weights = maps.weights[kind][1][0]
    rows = weights[1:] if kind == "decoder" else weights
    entropy = sum(-sum(w * math.log(w) for w in map(float, row) if w) for row in rows) / len(rows)
    maximum = sum(max(map(float, row)) for row in rows) / len(rows)
    assert figures(weights, kind) == pytest.approx((entropy, maximum), abs=1e-4)
    data = Parsed(attention_page(maps)).data()
    (found,) = [head[3:] for head in data["heads"] if head[:3] == [kind, 2, 1]]
    assert found == pytest.approx((entropy, maximum), abs=1e-4)


def test_one_piece_has_figures() -> None:
    assert figures(np.ones((1, 1), np.float32), "decoder") == (0.0, 1.0)


@pytest.mark.parametrize(
    ("pieces", "marks", "numbers", "words"),
    [
        (["▁run", "s", ".", "▁A", "</s>"], {4}, [0, 0, 0, 1, 2], ["runs.", "A", "</s>"]),
        (["<s>", "▁run", "s"], {0}, [0, 1, 1], ["<s>", "runs"]),
        (["<2de>", "b", "▁c", "</s>"], {0, 3}, [0, 1, 2, 3], ["<2de>", "b", "c", "</s>"]),
        (["▁", "a", "</s>"], {2}, [0, 0, 1], ["a", "</s>"]),
        (["▁", "▁", "</s>"], {2}, [0, 1, 2], ["▁", "▁", "</s>"]),
        (["▁<0xC3>", "<0xA4>x", "<0xff>", "</s>"], {3}, [0, 0, 0, 1], ["äx\ufffd", "</s>"]),
        (["</s>"], {0}, [0], ["</s>"]),
        (["▁a", "<s>", "▁<b>", "</s>"], {3}, [0, 0, 1, 2], ["a<s>", "<b>", "</s>"]),
    ],
)
def test_pieces_are_joined_to_words(pieces: list[str], marks: set[int], numbers: list[int], words: list[str]) -> None:
    assert describe_side(pieces, marks) == {"pieces": pieces, "numbers": numbers, "words": words}


def test_a_language_tag_is_a_word_of_its_own(make_maps: Any) -> None:
    for first, words in (("<2de>", ["<2de>", "a"]), (">>de<<", [">>de<<", "a"]), ("▁<2de>", ["<2de>a"])):
        data = Parsed(attention_page(make_maps(source=(first, "a", "▁b")))).data()
        assert data["sides"]["source"]["words"] == [*words, "b", "</s>"]


def test_a_hundred_pieces_stay_small(make_maps: Any) -> None:
    long = [f"▁word{place}" for place in range(99)]
    maps = make_maps(source=long, target=long, heads={kind: (8,) * 6 for kind in KINDS})
    assert sum(1 for _ in maps.heads()) == 144
    # A byte for each of 144 x 100 x 100 weights is 1.92 million characters in base64.
    assert len(attention_page(maps).encode()) < 2_100_000


def test_weights_that_are_no_numbers_are_named(make_maps: Any) -> None:
    maps: AttentionMaps = make_maps()
    maps.weights["cross"][1][0, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"made-up.*cross\.2\.1"):
        attention_page(maps)


def test_an_install_has_all_parts_of_the_page() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folder = ROOT / "translator" / "inspection" / "page"
    parts = {path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
    named = patterns["translator.inspection.page"]
    assert parts == {name for name in parts if any(fnmatch.fnmatch(name, pattern) for pattern in named)} != set()
