"""How threads of OpenMP wait: briefly, from the first import on, whoever starts us, unless the user has decided."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from translator.runtime import openmp

NAMES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")
LOOKS = "300" if openmp._is_intel() else "1000"
SHOW = f"import os, sys; print(*(os.environ.get(name) for name in {NAMES}), 'torch' in sys.modules)"


def after(statement: str, **environment: str) -> list[str]:
    """What the variables are after a statement in a new interpreter, and whether torch was imported."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", f"{statement}\n{SHOW}"]
    return subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, check=True
    ).stdout.split()


def test_importing_the_package_makes_threads_wait_briefly() -> None:
    assert after("import translator") == ["passive", "0", LOOKS, "False"]
    # Any room passes through the package, so that torch finds the variables when it is loaded.
    assert after("import translator.runtime.device") == ["passive", "0", LOOKS, "True"]


@pytest.mark.parametrize(
    "name, value", [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7"), ("KMP_BLOCKTIME", "1")]
)
def test_what_the_user_has_set_stays(name: str, value: str) -> None:
    expected = [value if other == name else "None" for other in NAMES]
    assert after("import translator", **{name: value}) == [*expected, "False"]


def test_torch_that_was_imported_before_is_left_alone() -> None:
    assert after("import sys; sys.modules['torch'] = sys; import translator")[:3] == ["None"] * 3


def test_the_tests_themselves_do_not_spin() -> None:
    assert any(name in os.environ for name in NAMES)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libgomp is the OpenMP of Linux")
def test_libgomp_shows_that_it_took_the_setting(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-m", "translator", "doctor"]
    shown = subprocess.run(
        command, env={**clean, "OMP_DISPLAY_ENV": "verbose"}, capture_output=True, text=True, cwd=tmp_path
    ).stderr
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown and "OMP_WAIT_POLICY = 'ACTIVE'" not in shown
    assert f"GOMP_SPINCOUNT = '{LOOKS}'" in shown and "GOMP_SPINCOUNT = '300000'" not in shown
