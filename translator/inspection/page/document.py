"""The page is put together: template, style, script and data become one HTML document that loads nothing."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from translator.inspection.maps import AttentionMaps
from translator.inspection.page.encoding import encode_maps

# In the order in which they run, within one function.
_SCRIPTS = ("data.js", "text.js", "colour.js", "overview.js", "enlarged.js", "lines.js", "start.js")
_STYLES = ("page.css", "enlarged.css", "lines.css")


def attention_page(maps: AttentionMaps) -> str:
    """Return an HTML document that shows every head of `maps`; write it as UTF-8.

    The text of the sentences is data, never markup: it stands in a block of JSON, from which the script sets it as
    text, and the page's policy runs and applies only the script and the style whose hashes it names. Raises `DataError`
    for weights that are not numbers.
    """
    script = '"use strict";\n(() => {\n' + "\n".join(map(_part, _SCRIPTS)) + "})();\n"
    style = "\n".join(map(_part, _STYLES))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {"policy": policy, "style": style, "data": _json(encode_maps(maps)), "script": script}
    # In one pass, so that nothing within a part is taken for the place of another.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _part("page.html"))


def _json(value: Any) -> str:
    """JSON in ASCII that cannot end the element it stands in, nor open a comment there."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A source of a Content Security Policy (level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
