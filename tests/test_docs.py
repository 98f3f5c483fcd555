"""The pages for readers: the README is short, and every link, command, setting and name on a page exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from translator.cli.app import make_app
from translator.config import load_config, read_call_settings
from translator.config.explain import setting_names
from translator.text import read_tokenizer_settings

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "data/README.md",
        ROOT / "scripts/RESULTS.md",
        ROOT / "translator/attention/README.md",
    ]
)
SECTIONS = r"(?:data|tokenizer|model|training|decoding)"


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[str]:
    """Yield the fenced and the indented blocks of a page, those of Python, YAML and text excepted."""
    fence: str | None = None
    lines: list[str] = []
    for line in [*page.read_text().split("\n"), ""]:
        if fence is None and line.startswith("```"):
            fence = line.removeprefix("```").strip()
        elif fence is not None and line.startswith("```"):
            if fence in ("", "sh", "bash", "console"):
                yield "\n".join(lines)
            fence, lines = None, []
        elif fence is not None or line.startswith("    "):
            lines.append(line.removeprefix("    ") if fence is None else line)
        elif lines:
            yield "\n".join(lines)
            lines = []


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in the blocks of a page; a pipeline is several."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").split("\n"):
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
            lexer.whitespace_split = True
            command: list[str] = []
            for word in [*lexer, "|"]:
                if set(word) <= set("|&;"):
                    if command:
                        yield command
                    command = []
                elif command[-1:] in (["<"], [">"]):
                    command.pop()  # where input comes from or output goes is no argument
                else:
                    command.append(word)


def translator_words(command: list[str]) -> list[str] | None:
    """Return what follows `translator` or `python -m translator`; None for another command."""
    for position, word in enumerate(command):
        if Path(word).name == "translator" and (position == 0 or command[position - 1] in ("-m", "time")):
            return command[position + 1 :]
    return None


@pytest.fixture(scope="module")
def root_command() -> Any:
    return get_command(make_app())


def check_translator(root: Any, words: list[str]) -> None:
    """Parse a call of the program without running it, and check its settings with their values."""
    command, rest = root, words
    while hasattr(command, "commands") and rest:
        assert rest[0] in command.commands, f"there is no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    parsed = command.make_context(command.name, list(rest)).params
    if called := parsed.get("settings"):
        (read_tokenizer_settings if words[0] == "tokenizer" else read_call_settings)(called)
    arguments = parsed.get("arguments") or []
    files = [ROOT / word for word in arguments if "=" not in word and (ROOT / word).is_file()]
    # A run to start from would have to exist, and only then may its vocabulary be extended.
    of_start = ("start_from=", "tokenizer.extend=")
    settings = [word for word in arguments if "=" in word and not word.startswith(of_start)]
    load_config(files[0] if files else None, settings)


def check_script(command: list[str]) -> None:
    """Check that a script of ours exists and knows the options that it is called with."""
    for position, word in enumerate(command):
        if not word.startswith("scripts/"):
            continue
        assert (ROOT / word).is_file(), f"there is no {word}"
        if word.endswith(".py"):
            source = (ROOT / word).read_text()
            for option in command[position + 1 :]:
                assert not option.startswith("--") or f'"{option}"' in source, f"{word} has no option {option}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_on_pages_exist(page: Path, root_command: Any) -> None:
    for command in command_lines(page):
        words = translator_words(command)
        try:
            if words is not None:
                check_translator(root_command, words)
            else:
                check_script(command)
        except Exception as error:
            pytest.fail(f"{page_name(page)}: `{shlex.join(command)}`: {error}")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_settings_on_pages_exist(page: Path) -> None:
    names = setting_names()
    for word in re.findall(rf"`({SECTIONS}\.\w+)(?:=[^`]*)?`", page.read_text()):
        assert word in names, f"there is no setting {word}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_files_and_names_on_pages_exist(page: Path) -> None:
    """`room/file.py: Name.method` is a file of the package that defines this name."""
    ours = {entry.name for folder in (ROOT, ROOT / "translator") for entry in folder.iterdir()}
    for path, name in re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.[a-z]+)(?:: ([\w.]+))?`", page.read_text()):
        found = [base / path for base in (ROOT / "translator", ROOT, page.parent) if (base / path).is_file()]
        assert found or path.split("/")[0] not in ours, f"there is no file {path}"
        for part in name.split(".") if name else ():
            assert re.search(rf"(?:def|class) {part}\b", found[0].read_text()), f"{path} does not define {part}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_names_that_examples_import_exist(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                room = import_module(node.module)
                missing = [alias.name for alias in node.names if not hasattr(room, alias.name)]
                assert not missing, f"{node.module} has no {missing[0]}"


def test_settings_of_a_call_exist() -> None:
    """In the table of `--set`, every `KEY=VALUE` is one that `translate` takes."""
    _, table = (ROOT / "docs/decoding.md").read_text().split("| `--set` |")
    rows = table.split("\n\n")[0]
    found = [word for code in re.findall(r"`([^`]+)`", rows) for word in shlex.split(code) if "=" in word]
    assert len(found) > 20
    for word in found:
        read_call_settings([word])
