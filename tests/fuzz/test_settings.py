"""Random `KEY=VALUE` words and YAML through `translator config show`."""

import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.conftest import PIECES, Attempts, mutated, watched
from translator.cli.app import make_app
from translator.cli.boundary import run_program
from translator.config import Config, dump_config, resolve_preset
from translator.config.explain import setting_names

VALUES = [
    "", "0", "1", "-1", "3", "1e-39", "1e308", "-1e308", "inf", "nan", "1e999", "9" * 5000, "1.5M", "25k", "0x10",
    "1_0", "true", "no", "null", "~", "auto", "2epochs", "1G", "text", "ü\u202e\x1b[2J", "\udcff", "[1, 2]", "[]",
    "[&a 1, *a]", "{a: 1}", "[{path: a, weight: 1}, {path: b}]", "a.{en,de}", "[a.en, a.de]", "../..", "/dev/zero",
    "x" * 300, "hub:", "hub:a:b:c", "${HOME}", "run:name", "[" * 2000, "\t", "LAYER.HEAD", "1.1", "0.5", "0.999", "1.0",
]  # fmt: skip


def word(names: list[str], random: Random) -> str:
    name = random.choice(names)
    if random.random() < 0.1:
        name = random.choice((name + "x", name + ".more", name.upper(), name[1:], "." + name, "a." * 80 + name, ""))
    return f"{name}={random.choice(VALUES)}" if random.random() < 0.97 else name


def settings_file(whole: bytes, names: list[str], random: Random) -> bytes:
    if random.random() < 0.5:
        return mutated(whole, random)
    lines = []
    for _ in range(random.randrange(1, 8)):
        sections = random.choice(names).split(".")
        for depth, section in enumerate(sections):
            end = ":" if depth < len(sections) - 1 else f": {random.choice(VALUES)}"
            lines.append("  " * depth + section + end)
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return mutated(text, random) if random.random() < 0.5 else text + random.choice(PIECES)


def test_whatever_the_settings_are(
    attempts: Attempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app()
    names = setting_names()
    whole = dump_config(resolve_preset(Config(), "tiny")).encode()
    codes: dict[int, int] = {}
    for number, chance in attempts(4000, 300):
        arguments = [word(names, chance) for _ in range(chance.choice((0, 1, 1, 2, 5)))]
        if chance.random() < 0.5:
            file = tmp_path / "config.yaml"
            file.write_bytes(settings_file(whole, names, chance))
            arguments.insert(0, str(file))
        monkeypatch.setattr(sys, "argv", ["translator", "config", "show", *arguments])
        with watched(number):
            code = run_program(lambda: app(standalone_mode=False))
        said = capfd.readouterr()
        codes[code] = codes.get(code, 0) + 1
        assert code in (0, 1, 2), f"input {number} ended with {code}"
        assert "Traceback" not in said.err and "this is a bug" not in said.err, f"input {number}: {said.err}"
        assert bool(said.out) == (code == 0) == (said.err == ""), f"input {number}: {said}"
        assert "\x1b" not in said.err, f"input {number}: {said.err!r}"
    assert codes[0] > 0 and codes[1] > 0
    print(f"exit codes: {codes}")
