"""The learner's page in the package: its examples print what it says, and what it names exists."""

import doctest
import importlib
import inspect
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.attention import MultiHeadAttention, pack
from translator.config import parse_head
from translator.errors import ConfigError

PAGE = Path(__file__).parents[2] / "translator" / "attention" / "README.md"
REPOSITORY, ROOM = PAGE.parents[2], PAGE.parent
TEXT = PAGE.read_text("utf-8")
MODULES = [
    *(f"translator.attention.{name}" for name in ("module", "kernels", "layout", "padded")),
    "translator.inference.cache",
    "translator.model.embedding",
    "translator.model.layers",
    "translator.inspection.maps",
]
FORMULA_WORDS = {*"QKVWOxTSHD", "d_model", "softmax", "sqrt", "Concat", "head_1", "head_H"}


def examples() -> doctest.DocTest:
    """All `pycon` blocks of the page as one session; line numbers stay those of the page."""
    inside, lines = False, []
    for line in TEXT.splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line == "```pycon" if fence else inside
    return doctest.DocTestParser().get_doctest("\n".join(lines) + "\n", {}, PAGE.name, str(PAGE), 0)


def names_in_text() -> list[str]:
    """What is in backquotes outside of the blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def session() -> tuple[dict[str, Any], doctest.TestResults, str]:
    """The variables that the examples leave, how many failed, and the report of those."""
    report: list[str] = []
    test = examples()
    results = doctest.DocTestRunner(verbose=False).run(test, out=report.append, clear_globs=False)
    return test.globs, results, "".join(report)


def test_examples_print_what_the_page_says(session: tuple[dict[str, Any], doctest.TestResults, str]) -> None:
    _, results, report = session
    assert results.failed == 0, report
    assert results.attempted == TEXT.count("\n>>> ") > 50


def parameters_of(owner: Any) -> Iterator[str]:
    for _, part in inspect.getmembers(owner, inspect.isroutine):
        if (getattr(part, "__module__", None) or "").startswith("translator.attention"):
            yield from inspect.signature(part).parameters


def exists(name: str, variables: dict[str, Any]) -> bool:
    """Whether `name`, which may have dots, is a thing of the rooms, a method or a variable of the examples."""
    first, *rest = name.split(".")
    # Attributes such as weights are there only once a module has been made.
    made = {"MultiHeadAttention": MultiHeadAttention(4, 2), "Layout": pack([[1]]).layout}
    spaces = [made, *(vars(importlib.import_module(module)) for module in MODULES), vars(MultiHeadAttention), variables]
    found = next((space[first] for space in spaces if first in space), None)
    for part in rest:
        found = getattr(found, part, None)
    return found is not None


def is_head(name: str) -> bool:
    try:
        return str(parse_head(name)) == name
    except ConfigError:
        return False


def test_everything_named_exists(session: tuple[dict[str, Any], doctest.TestResults, str]) -> None:
    variables, _, _ = session
    code = "".join(path.read_text("utf-8") for path in sorted(ROOM.glob("*.py")))
    modules = [importlib.import_module(name) for name in MODULES]
    parameters = {name for owner in (*modules, MultiHeadAttention) for name in parameters_of(owner)}
    unknown = []
    for name in names_in_text():
        name = re.sub(r"=\w+$", "", name)  # an argument with its value
        if re.fullmatch(r"[\w./]+\.(py|md)", name):
            known = (REPOSITORY / name).is_file()
        elif re.fullmatch(r"[A-Za-z_][\w.]*", name):
            known = name in FORMULA_WORDS | parameters or exists(name, variables) or is_head(name)
        else:
            known = name in code or FORMULA_WORDS.issuperset(re.findall(r"[^\W\d]\w*", name))
        if not known:
            unknown.append(name)
    assert not unknown, f"named on the page, found nowhere: {unknown}"


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert len(links) > 4
    assert [link for link in links if not (ROOM / link).is_file()] == []


# A name, and after it in the same clause the file that it is in: `attend` ([kernels.py](kernels.py)).
DEFINITIONS = re.findall(r"`([A-Za-z_]\w*)(?:\.\w+)?`[^`|;]*?\(\[[\w.]+\]\(([^)#]+)\)\)", TEXT)


@pytest.mark.parametrize(("name", "link"), DEFINITIONS)
def test_what_is_said_to_be_in_a_file_is_defined_there(name: str, link: str) -> None:
    code = (ROOM / link).read_text("utf-8")
    assert re.search(rf"^ *(?:class|def) {name}\b", code, re.MULTILINE), f"{name} is not defined in {link}"


def test_every_link_to_a_file_of_code_is_checked_for_a_name() -> None:
    """But for a whole file, of which the page names no part."""
    linked = set(re.findall(r"\]\(([^)#]+\.py)\)", TEXT))
    assert linked - {link for _, link in DEFINITIONS} == {"padded.py"}


def test_example_with_a_trained_run(tiny_run: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert code.count('"RUN"') == 1
    variables: dict[str, Any] = {}
    exec(code.replace('"RUN"', repr(str(tiny_run))), variables)
    rows, columns, weights = (variables[name] for name in ("rows", "columns", "weights"))
    assert columns[-1] == rows[-1] == "</s>"
    assert weights.shape == (len(rows), len(columns))
    assert np.allclose(weights.sum(-1), 1.0)


def commands_on_the_page() -> Iterator[Any]:
    for command, arguments in re.findall(r"^    translator (\w+) ([^#\n]+?) +#", TEXT, re.MULTILINE):
        yield pytest.param(command, arguments, id=command)


@pytest.mark.parametrize(("command", "arguments"), list(commands_on_the_page()))
def test_commands_are_those_of_the_program(
    command: str, arguments: str, run_command: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    answer = run_command(command, "--help")
    assert answer.returncode == 0, answer.stderr.decode()
    known = re.findall(r"--[\w-]+", answer.stdout.decode())
    assert set(re.findall(r"--[\w-]+", arguments)) <= set(known)
