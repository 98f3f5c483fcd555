"""A headless Chromium for the tests of pages, driven by Selenium; Debian packages: chromium, chromium-driver."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

KEYS = {
    "Tab": Keys.TAB,
    "Enter": Keys.ENTER,
    "Shift": Keys.SHIFT,
    "Escape": Keys.ESCAPE,
    "Space": Keys.SPACE,
    "End": Keys.END,
    "Home": Keys.HOME,
    "ArrowLeft": Keys.ARROW_LEFT,
    "ArrowUp": Keys.ARROW_UP,
    "ArrowRight": Keys.ARROW_RIGHT,
    "ArrowDown": Keys.ARROW_DOWN,
}
# Nothing resolves but the loopback address, so that nothing can leave the machine; the log still shows what a page asks
# for.
ARGUMENTS = [
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1280,900",
]


def installed() -> tuple[str, str] | None:
    """Return the paths of browser and driver, or None if one is missing."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One window; every method returns when the browser has done what was asked."""

    def __init__(self, browser: str, driver: str, profile: Path) -> None:
        """Start both with `profile` as the user's data directory.

        Selenium is given both paths: otherwise it would download a browser and a driver.
        """
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        # Chromium's sandbox refuses to run as root.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        for argument in [*ARGUMENTS, *sandbox, f"--user-data-dir={profile}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))

    def close(self) -> None:
        """End the browser and the driver."""
        self._driver.quit()

    def open(self, page: Path | str) -> None:
        """Load a file or an address, and drop what the logs hold of earlier pages."""
        self._driver.get("about:blank")
        self.logged("browser"), self.logged("performance")
        self._driver.get(page if isinstance(page, str) else page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function with `arguments` in the page; return what it returns."""
        return self._driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Evaluate an expression once a frame until it is true; return its value."""
        waiting = (
            "const [seen, inputs] = [arguments[arguments.length - 1], [...arguments].slice(0, -1)];"
            f"const look = function () {{ return ({script}); }};"
            "const ask = () => { const found = look.apply(null, inputs);"
            "found ? seen(found) : requestAnimationFrame(ask); }; ask();"
        )
        return self._driver.execute_async_script(waiting, *arguments)

    def find(self, selector: str) -> WebElement:
        """Return the first element that a CSS selector matches."""
        return self._driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """Return the text of every element that a CSS selector matches, hidden ones included."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map(found => found.textContent)", selector)

    def in_frame(self, selector: str, action: Callable[[], Any]) -> Any:
        """Do something in the document of a frame, and return what it returns."""
        self._driver.switch_to.frame(self.find(selector))
        try:
            return action()
        finally:
            self._driver.switch_to.default_content()

    def focused(self) -> dict[str, str]:
        """Return the data, id and name of the element that has the focus."""
        return self.run("const at = document.activeElement; return {...at.dataset, id: at.id, name: at.localName}")

    def click(self, selector: str) -> None:
        """Click the middle of an element; an error if another element covers it."""
        self.find(selector).click()

    def point(self, selector: str, x: int = 0, y: int = 0) -> None:
        """Move the pointer over an element, to an offset in CSS pixels from its middle."""
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center', inline: 'nearest'})", element)
        ActionChains(self._driver, duration=0).move_to_element_with_offset(element, x, y).perform()

    def leave(self) -> None:
        """Press Escape in a dialog, and wait until the page has handled its closing."""
        self.run(
            "const at = document.querySelector('dialog[open]'); at.addEventListener('close', () => (at.left = true))"
        )
        self.press("Escape")
        self.wait("[...document.querySelectorAll('dialog')].some(dialog => dialog.left && delete dialog.left)")

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by name; `Shift+Tab` holds the first."""
        actions = ActionChains(self._driver, duration=0)
        for key in keys:
            parts = [KEYS.get(part, part) for part in key.split("+")]
            for part in parts:
                actions.key_down(part)
            for part in reversed(parts):
                actions.key_up(part)
        actions.perform()

    def control(self, command: str, **values: Any) -> Any:
        """Call a command of the Chrome DevTools protocol."""
        return self._driver.execute_cdp_cmd(command, values)

    def logged(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a log (`browser` is the console) since it was last read."""
        return self._driver.get_log(kind)

    def requests(self) -> list[str]:
        """Return the addresses that pages asked for since the log was last read."""
        messages = [json.loads(entry["message"])["message"] for entry in self.logged("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
