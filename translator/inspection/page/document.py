"""Assembles the page: template, styles, scripts and data become one HTML document that loads nothing else."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from translator.inspection.maps import AttentionMaps
from translator.inspection.page.encoding import encode_maps

# In execution order; they are wrapped in one function.
_SCRIPTS = ("data.js", "text.js", "colour.js", "overview.js", "enlarged.js", "lines.js", "start.js")
_STYLES = ("page.css", "enlarged.css", "lines.css")


def attention_page(maps: AttentionMaps) -> str:
    """Return an HTML document that shows every head of `maps`; write it as UTF-8.

    The sentences are data, never markup: they are stored in a block of JSON, and the script inserts them as text. The
    page's security policy allows only the script and the style whose hashes it lists. Raises `DataError` if a weight is
    not finite.
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
    # In one pass, so that placeholders inside a part are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def _json(value: Any) -> str:
    """Return JSON in ASCII that can neither end the HTML element around it nor open a comment."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the hash source of a Content Security Policy (level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
