"""The page and its files over HTTP, without a browser."""

import re
from typing import Any


def test_the_page_allows_only_its_own_files(server: Any) -> None:
    status, page, headers = server.send("/", None)
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    # Nothing inline, which the policy would stop, and nothing from elsewhere.
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=|https?:", page)


def test_all_files_of_the_page_are_served(server: Any) -> None:
    _, page, _ = server.send("/", None)
    names = re.findall(r'(?:src|href)="(page/[^"]+)"', page)
    assert "page/base.css" in names and "page/start.js" in names
    for name in names:
        status, text, headers = server.send(f"/{name}", None)
        assert status == 200 and text, name
        assert headers["content-type"].startswith({"css": "text/css", "js": "text/javascript"}[name.rpartition(".")[2]])
    for name in ("document.py", "page.html", "nothing.js", "..%2fapp.py", "%2e%2e/app.py"):
        assert server.send(f"/page/{name}", None)[0] == 404, name


def test_a_browser_is_shown_errors_as_text(server: Any) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, message, headers = server.send("/attention", b"q=", {**form, "Accept": "text/html,*/*"})
    assert (status, message) == (400, "Invalid request: missing source parameter")
    assert headers["content-type"].startswith("text/plain")
