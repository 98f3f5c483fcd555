"""A headless Chromium for the tests, by the W3C WebDriver protocol (w3.org/TR/webdriver2) of `chromedriver`."""

import base64
import json
import os
import re
import shutil
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

# The name under which the protocol hands over an element, and the codes of keys that are not characters.
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Escape": "\ue00c",
    "Space": " ",
    "End": "\ue010",
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}
# No name resolves, so that nothing can leave the machine; requests for addresses of the network would still be seen.
_ARGUMENTS = [
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,900",
]


def installed() -> tuple[str, str] | None:
    """Return the programs of browser and driver, or None where one is missing."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class BrowserError(Exception):
    """What the driver answered instead of a value."""


class Browser:
    """One window; every method waits until the browser has done what it says."""

    def __init__(self, browser: str, driver: str, profile: Path) -> None:
        """Start both, with a profile of their own."""
        self._driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert self._driver.stdout is not None
            started = (re.search(r"started successfully on port (\d+)", line) for line in self._driver.stdout)
            port = next((found[1] for found in started if found), None)
            if port is None:
                raise BrowserError(f"{driver} ended with {self._driver.wait()} before it named its port")
            self._connection = HTTPConnection("127.0.0.1", int(port), timeout=60)
            # Chromium's sandbox refuses to work for root.
            sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
            options = {"binary": browser, "args": [*_ARGUMENTS, *sandbox, f"--user-data-dir={profile}"]}
            logs = {"browser": "ALL", "performance": "ALL"}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
            self._session = ""
            answer = self._call("POST", "session", capabilities={"alwaysMatch": wanted})
            self._session = f"session/{answer['sessionId']}/"
        except BaseException:
            self._driver.kill()
            raise

    def close(self) -> None:
        """End the session, the browser and the driver."""
        try:
            self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=30)

    def _call(self, method: str, command: str, **values: Any) -> Any:
        body = json.dumps(values) if method == "POST" else None
        path = f"/{self._session}{command}".rstrip("/")
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise BrowserError(f"{method} {command}: {answer['error']}: {answer['message'].splitlines()[0]}")
        return answer

    def open(self, page: Path) -> None:
        """Load a file, and forget what the logs hold of pages before."""
        self._call("POST", "url", url="about:blank")
        self.logged("browser"), self.logged("performance")
        self._call("POST", "url", url=page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a function body returns; `arguments` are its."""
        return self._call("POST", "execute/sync", script=script, args=list(arguments))

    def wait(self, script: str, *arguments: Any) -> Any:
        """Return the first value of an expression that is true, asked once a frame of the page."""
        waiting = (
            "const [seen, inputs] = [arguments[arguments.length - 1], [...arguments].slice(0, -1)];"
            f"const look = function () {{ return ({script}); }};"
            "const ask = () => { const found = look.apply(null, inputs);"
            "found ? seen(found) : requestAnimationFrame(ask); }; ask();"
        )
        return self._call("POST", "execute/async", script=waiting, args=list(arguments))

    def find(self, selector: str) -> Any:
        """Return the first element that a CSS selector matches."""
        return self._call("POST", "element", using="css selector", value=selector)

    def texts(self, selector: str) -> list[str]:
        """Return the text of every element that a CSS selector matches."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map(found => found.textContent)", selector)

    def focused(self) -> dict[str, str]:
        """Return the data, id and name of the element that has the focus."""
        return self.run("const at = document.activeElement; return {...at.dataset, id: at.id, name: at.localName}")

    def click(self, selector: str) -> None:
        """Click where a person would: in the middle, and only if nothing lies above it."""
        self._call("POST", f"element/{self.find(selector)[_ELEMENT]}/click")

    def point(self, selector: str, x: int = 0, y: int = 0) -> None:
        """Move the pointer over an element, to an offset in CSS pixels from its middle."""
        self.run("arguments[0].scrollIntoView({block: 'center', inline: 'nearest'})", origin := self.find(selector))
        move = {"type": "pointerMove", "duration": 0, "origin": origin, "x": x, "y": y}
        self._call("POST", "actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])

    def leave(self) -> None:
        """Press Escape in a dialog, and wait until the page has heard that it is closed."""
        self.run(
            "const at = document.querySelector('dialog[open]'); at.addEventListener('close', () => (at.left = true))"
        )
        self.press("Escape")
        self.wait("[...document.querySelectorAll('dialog')].some(dialog => dialog.left && delete dialog.left)")

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by name; `Shift+Tab` holds the first."""
        actions: list[dict[str, str]] = []
        for key in keys:
            parts = [KEYS.get(part, part) for part in key.split("+")]
            actions += [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
        self._call("POST", "actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def control(self, command: str, **values: Any) -> Any:
        """Call a command of the Chrome DevTools protocol."""
        return self._call("POST", "goog/cdp/execute", cmd=command, params=values)

    def logged(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a log (`browser` is the console) since it was last asked for."""
        return self._call("POST", "se/log", type=kind)

    def requests(self) -> list[str]:
        """Return the addresses that pages asked for since the log was last read."""
        messages = [json.loads(entry["message"])["message"] for entry in self.logged("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self._call("POST", "window/rect", width=width, height=height)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self._call("GET", "screenshot")))
