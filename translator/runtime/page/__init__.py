"""Pages as one HTML file that needs no server, no network and no library: how they are assembled, and their look."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any


def offline_page(package: str, template: str, styles: Sequence[str], scripts: Sequence[str], data: Any) -> str:
    """Return an HTML document of files of a package; write it as UTF-8.

    The template has the placeholders `{{policy}}`, `{{style}}`, `{{data}}` and `{{script}}`. The styles follow
    `base.css`, the look that pages share; the scripts are wrapped in one function, in this order. Text in `data`, which
    is anything that JSON can hold, is never markup: it is stored in a block of JSON, and scripts must insert it as
    text. The page's security policy allows only the script and the style whose hashes it lists.
    """

    def part(name: str) -> str:
        return files(package).joinpath(name).read_text(encoding="utf-8")

    script = '"use strict";\n(() => {\n' + "\n".join(map(part, scripts)) + "})();\n"
    base = files(__package__).joinpath("base.css").read_text(encoding="utf-8")
    style = "\n".join([base, *map(part, styles)])
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
    parts = {"policy": policy, "style": style, "data": _json(data), "script": script}
    # In one pass, so that placeholders inside a part are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], part(template))


def _json(value: Any) -> str:
    """Return JSON in ASCII that can neither end the HTML element around it nor open a comment."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the hash source of a Content Security Policy (level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
