"""The benchmark of translating: that all contenders have the same weights and rules, and that it runs to its end."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
needs_libraries = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("transformers", "ctranslate2")),
    reason="transformers and ctranslate2 are what is compared with: install the bench extra",
)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def load(name: str) -> ModuleType:
    return importlib.import_module(f"scripts.{name}")


@needs_libraries
def test_hugging_face_has_our_weights_and_our_greedy_search(scripts: None, tiny_run: Path, tmp_path: Path) -> None:
    from translator.checkpoints import load_bundle
    from translator.decoding import greedy_search
    from translator.inference import TransformerStepModel

    bundle = load_bundle(tiny_run, device="cpu")
    target = bundle.tokenizers.target
    model = load("hf_model").hf_model(bundle.model, target.bos_id, target.eos_id)
    model.save_pretrained(tmp_path)
    systems = load("translation_systems")
    task = systems.Task(tiny_run, None, tmp_path, tmp_path, 1, 1.0, 2.0, 5)
    system = systems.HuggingFace(task, {"attention": "eager", "batch": 2, "workers": 1})
    lines = ["a dog reads in the garden street", "red cat", "the woman sleeps on the big blue house"]
    sources = bundle.tokenizers.source.encode(lines)
    limits = [task.longest([source]) for source in sources]
    assert len(set(limits)) == 3
    ours = greedy_search(TransformerStepModel.of(bundle), sources, limits)
    # Their limit is that of the longest sentence of the batch.
    theirs = [ids[:limit] for ids, limit in zip(system.generate(sources, 1), limits, strict=True)]
    assert theirs == [list(hypothesis.tokens) for hypothesis in ours if hypothesis is not None]
    assert all(theirs)


def test_a_model_that_they_cannot_hold_is_refused(scripts: None) -> None:
    pytest.importorskip("transformers", reason="transformers is what is compared with: install the bench extra")
    from translator.config import ModelSettings
    from translator.model import build_model

    settings = ModelSettings(d_model=16, d_ff=16, num_heads=2, encoder_layers=1, decoder_layers=1, positions="learned")
    with pytest.raises(SystemExit, match="model.positions is learned, expected sinusoidal"):
        load("hf_model").hf_model(build_model(settings, 20, 20, 1), 1, 2)


def test_the_fastest_setting_is_found_one_choice_after_the_other(scripts: None) -> None:
    choices = {"batch": [32, 8, 64], "workers": [1, 2]}
    speed = {32: 3.0, 8: 4.0, 64: 2.0}

    def seconds(setting: dict[str, int]) -> float:
        return speed[setting["batch"]] / setting["workers"]

    best, tried = load("bench_translate").choose_settings(choices, seconds)
    assert best == {"batch": 64, "workers": 2}
    assert tried[0] == ({"batch": 32, "workers": 1}, 3.0)
    assert [taken for _, taken in tried] == [3.0, 4.0, 2.0, 1.0]


@needs_libraries
@pytest.mark.slow
def test_the_whole_benchmark_in_toy_size(scripts: None, tiny_run: Path, tmp_path: Path) -> None:
    from translator.text import load_tokenizers

    encode = load_tokenizers(tiny_run).source.encode
    words = ("dog", "cat", "man", "child", "house", "street", "garden", "woman")
    lines = [f"a {first} sleeps in the {second}" for first in words for second in words]
    # As many pieces in each, so that the limits on translations are the same for all.
    lines = [line for line, ids in zip(lines, encode(lines), strict=True) if len(ids) == len(encode(lines[:1])[0])][:6]
    for name in ("test.en", "test.de"):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "scripts/bench_translate.py", tiny_run, tmp_path / "test.en", tmp_path / "test.de"]
    command += ["--rounds", "2", "--threads", "1", "--search-sentences", "0", "--latency-sentences", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [*map(str, command), "--json", str(figures)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    titles = [entry.title for entry in load("translation_systems").SYSTEMS.values()]
    rows = [line.split("|")[1].strip() for line in finished.stdout.splitlines() if line.startswith("|")]
    assert rows == ["contender", "---", *titles]
    verdicts = [line.split(":")[0] for line in finished.stdout.splitlines() if "(aim: " in line]
    assert len(verdicts) == 8 and set(verdicts) <= {"PASS", "FAIL"}
    found = json.loads(figures.read_text(encoding="utf-8"))["contenders"]
    for own in found.values():
        assert all(len(own["seconds"][mode]) == 2 and min(own["seconds"][mode]) > 0 for mode in ("greedy", "beam"))
        assert own["tokens"]["beam"] > 0 and own["peak_mib"] > 0
    same = [found[name]["translations"]["greedy"] for name in ("ours", "ours-native", "hf", "ct2")]
    assert len(same[0]) == len(lines) and all(translations == same[0] for translations in same)
