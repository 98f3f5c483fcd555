"""The program as a whole: version, help, completion and the page of all help texts."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import translator
from translator.cli.help_page import help_page

ROOT = Path(__file__).parents[2]

Call = Callable[..., tuple[int, str, str]]


def test_version(call_program: Call) -> None:
    assert call_program("--version") == (0, f"translator {translator.__version__}\n", "")


def test_the_page_of_help_texts_is_current() -> None:
    assert help_page() == (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_the_page_of_help_texts_is_what_the_program_prints(call_program: Call) -> None:
    code, out, _ = call_program("evaluate", "--help")
    section = help_page().partition("## translator evaluate\n\n```text\n")[2].partition("```")[0]
    # Without white space: the page has longer lines, which end at other words and hyphens, and here the usage begins
    # with `python -m pytest`.
    texts = ["".join(text.partition("[OPTIONS]")[2].split()) for text in (out, section)]
    assert code == 0 and texts[0] == texts[1] != ""


def test_completion_offers_the_commands_that_begin_like_the_word() -> None:
    request = {"_TRANSLATOR_COMPLETE": "complete_bash", "COMP_WORDS": "translator tr", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['translator']; from translator.cli.app import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **request}, capture_output=True, text=True
    )
    assert result.stdout.split() == ["train", "translate"]


def test_doctor_prints_the_same_facts_as_text_and_as_json(call_program: Call) -> None:
    code, out, _ = call_program("doctor", "--format", "json")
    facts = json.loads(out)
    assert code == 0 and facts["translator"] == translator.__version__ and facts["torch"]
    assert str(torch.get_num_threads()) in facts["cpu"]
    code, out, _ = call_program("doctor")
    assert code == 0
    printed = {name: value.strip() for name, _, value in (line.partition(":") for line in out.splitlines())}
    del facts["disk free here"], printed["disk free here"]  # Other programs write meanwhile.
    assert printed == facts
