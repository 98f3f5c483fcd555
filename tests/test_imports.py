"""The rooms import in one direction, and starting the program is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "translator"

LAYERS = [
    {"errors"},
    {"runtime"},
    {"config", "distributed"},
    {"text", "attention"},
    {"data", "model"},
    {"checkpoints"},
    {"inference"},
    {"decoding"},
    {"interop"},
    {"translation"},
    {"evaluation"},
    {"training", "inspection"},
    {"serving", "synthesis", "recipes"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> list[tuple[int, str]]:
    """Line and room of every import of the package, those for type checking excepted."""
    found = []
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "translator":
                names = [f"translator.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms = [name.split(".")[1] for name in names if name.startswith("translator.")]
        found += [(node.lineno, room) for room in rooms if room in LEVEL]
    return found


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        if room in ("__init__", "__main__"):
            continue
        assert room in LEVEL, f"{path} is in a room that the design does not have"
        wrong += [
            f"{path.relative_to(PACKAGE)}:{line} imports {other}"
            for line, other in imported_rooms(path)
            if other != room and LEVEL[other] >= LEVEL[room]
        ]
    assert not wrong


def modules_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stderr.split())


HEAVY = {"torch", "datasets", "pyarrow", "sentencepiece", "sacrebleu", "numpy", "pydantic", "safetensors"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import translator")


def test_the_front_door_has_what_it_names() -> None:
    import translator
    from translator.config import load_config
    from translator.evaluation import evaluate
    from translator.training import train
    from translator.translation import Translator

    assert translator.Translator is Translator
    assert (translator.train, translator.load_config, translator.evaluate) == (train, load_config, evaluate)
    assert set(translator.__all__) <= set(dir(translator))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        translator.nothing  # noqa: B018


def test_help_imports_nothing_heavy() -> None:
    statement = "sys.argv = ['translator', '--help']\nfrom translator.cli.app import main\n"
    statement += "try: main()\nexcept SystemExit as end: assert not end.code"
    assert not HEAVY & modules_after(statement)
