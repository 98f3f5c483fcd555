"""The benchmark of training in toy size: all contenders compute the same, and the report says what was found."""

import importlib
import json
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.connection import Pipe as make_pipe
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from translator.config import Config, resolve_preset
from translator.data.batches import SpecialTokens

pytest.importorskip("transformers", reason="transformers is what is compared with: install the bench extra")

ROOT = Path(__file__).parents[2]
VOCABULARY = 60


class ThreadProcess:
    """A contender in a thread of this process instead of one of its own, which would take seconds to start."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> None:
        theirs, *others = args
        # The caller closes its end of what the process inherits.
        connection = Connection(os.dup(theirs.fileno()))
        self.thread = threading.Thread(target=target, args=(connection, *others), daemon=daemon)
        self.start, self.join = self.thread.start, self.thread.join


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("scripts.bench_train")
    context = SimpleNamespace(Pipe=make_pipe, Process=ThreadProcess)
    monkeypatch.setattr(module.multiprocessing, "get_context", lambda method: context)
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    return module


@pytest.fixture(params=["pre", "post"])
def task(bench: ModuleType, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    data = tmp_path / "train.arrow"
    bench.write_synthetic(data, VOCABULARY, pairs=60)
    model = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "d_ff": 32, "num_heads": 2, "norm": request.param}
    training = {"batch_tokens": 150, "learning_rate": 1e-5}
    config = resolve_preset(Config.model_validate({"preset": "tiny", "model": model, "training": training}))
    return bench.Task("toy", config, VOCABULARY, SpecialTokens(2, 1, 2), data, 1, "fp32")


def test_all_contenders_get_the_same_tokens_and_compute_the_same_loss(bench: ModuleType, task: Any) -> None:
    result = bench.measure(task, bench.plan_rounds(task, 2, 1), warmup=1)
    names = [bench.OURS, *bench.VARIANTS]
    assert list(result.checks) == list(result.rates) == list(result.peaks) == names
    ours = result.checks[bench.OURS]
    assert ours.target_tokens > 50 and 3.0 < ours.loss < 6.0
    for check in result.checks.values():
        assert check.loss == pytest.approx(ours.loss, abs=1e-5)
        assert (check.target_tokens, check.digest) == (ours.target_tokens, ours.digest)
    assert all(len(rates) == 2 and min(rates) > 0.0 for rates in result.rates.values())

    lines = bench.report(result).splitlines()
    assert lines[0].startswith(
        "toy: 1+1 layers, d_model 16, d_ff 32, 2 heads, vocabulary 60, dropout 0.3; ours in fp32"
    )
    rows = {line[:35].strip(): line[35:] for line in lines[6:-2]}
    assert list(rows) == names
    for name, row in rows.items():
        median, ratio = result.medians[name], result.medians[bench.OURS] / result.medians[name]
        assert row.startswith(f"{median:,.0f} (") and f" {ratio:.2f} " in row
    share = result.medians[bench.OURS] * result.flops_per_token / result.ceiling
    assert lines[-1].endswith(f"ours is at {share:.0%}")

    shape = json.loads(bench.as_json([result], {"cpu": "toy"}))["shapes"][0]
    assert shape["tokens_per_second"] == result.rates and shape["median"] == result.medians
    assert shape["checks"] == {name: check._asdict() for name, check in result.checks.items()}
    assert shape["ratio"][bench.OURS] == 1.0 and shape["peak_bytes"] == result.peaks


def test_contenders_that_differ_are_refused(bench: ModuleType) -> None:
    ours = bench.Check(1000, 80, "abc", 4.0)
    name = next(iter(bench.VARIANTS))
    bench.compare({bench.OURS: ours, name: ours._replace(parameters=1005, loss=4.0005)})
    for other, message in (
        (ours._replace(target_tokens=81), "gets other tokens"),
        (ours._replace(digest="abd"), "gets other tokens"),
        (ours._replace(parameters=1011), "has 1,011 parameters"),
        (ours._replace(loss=4.002), "computes the loss 4.00200"),
        (ours._replace(loss=float("nan")), "computes the loss nan"),
    ):
        with pytest.raises(SystemExit, match=message):
            bench.compare({bench.OURS: ours, name: other})


def test_a_token_costs_what_its_products_do(bench: ModuleType, task: Any) -> None:
    dataset = bench.ParallelDataset.open(task.data)
    indices = bench.np.arange(len(dataset))
    source, target = (int((each + 1).sum()) for each in (dataset.source_lengths, dataset.target_lengths))
    squares = {
        "source": int(((dataset.source_lengths + 1) ** 2).sum()),
        "target": int(((dataset.target_lengths + 1) ** 2).sum()),
        "both": int(((dataset.target_lengths + 1) * (dataset.source_lengths + 1)).sum()),
    }
    # Products of a layer: query, key, value and output; two of the feed-forward; scores and sums of attention.
    encoder = source * (4 * 16 * 16 + 2 * 16 * 32) + squares["source"] * 2 * 16
    decoder = target * (4 * 16 * 16 + 2 * 16 * 32) + squares["target"] * 2 * 16
    cross = target * 2 * 16 * 16 + source * 2 * 16 * 16 + squares["both"] * 2 * 16
    multiplications = encoder + decoder + cross + target * 16 * VOCABULARY
    assert bench.flops_per_token(task, [[indices]]) == pytest.approx(6.0 * multiplications / target)
