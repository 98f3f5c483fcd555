"""The report combines all measurements, and gives a role only if a figure supports it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from translator.config import KINDS, Head
from translator.evaluation import Evaluation, Score
from translator.inspection import report as module
from translator.inspection.gold import GoldCounter, read_links
from translator.inspection.importance import measure_importance, model_heads
from translator.inspection.pairs import Pairs, read_pairs
from translator.inspection.report import HeadReport, ModelReport, inspect_heads
from translator.inspection.statistics import FIGURES, head_statistics
from translator.inspection.table import head_table
from translator.translation import Translator
from translator.translation.alignment_head import alignment_scores

NOTHING = dict.fromkeys(FIGURES, 0.1)


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, device="cpu", threads=1)


@pytest.fixture(scope="module")
def pairs(translator: Translator, tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "source").write_text("a dog sleeps.\nthe red house\na cat, a man.\n")
    (folder / "target").write_text("the dog reads.\non the street\na man runs, a cat.\n")
    return read_pairs(translator.bundle, folder / "source", folder / "target")


def test_every_figure_is_that_of_its_own_part(translator: Translator, pairs: Pairs, tmp_path: Path) -> None:
    (tmp_path / "links").write_text("0-0 1-1\n2-0\n0-0 3-4\n")
    gold = read_links(tmp_path / "links", pairs)
    greedy = translator.settings.model_copy(update={"beam_size": 1})
    report = inspect_heads(translator, pairs, gold=gold, bleu=greedy)
    bundle = translator.bundle
    counter = GoldCounter(bundle, pairs, gold)
    statistics = head_statistics(bundle, pairs.ids, counter)
    importance = measure_importance(bundle, pairs.ids)
    information, _ = alignment_scores(bundle, *zip(*pairs.ids, strict=True))
    assert [each.head for each in report.heads] == model_heads(bundle.model)
    assert (report.loss, report.gold_words, report.sentences) == (importance.loss, 5, 3)
    for each in report.heads:
        own = statistics[each.head.kind]
        place = each.head.head - 1
        np.testing.assert_equal(each.figures, {name: own.figures[name][place] for name in FIGURES})
        assert each.importance == importance.increase[each.head]
        # With two heads, each is the nearest of the other.
        assert each.nearest == each.head._replace(head=3 - each.head.head)
        assert each.distance == own.distances[0, 1]
        assert each.aligned == counter.shares().get(each.head) and each.information == information.get(each.head)
        assert (each.aligned is not None) == (each.head.kind == "cross")
    assert (
        report.bleu is not None and report.signature is not None and report.signature.startswith("nrefs:1|case:mixed")
    )


def test_bleu_is_measured_anew_without_each_head(
    translator: Translator, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement for BLEU: the number of heads whose columns of W^O are not zero."""
    used: list[Translator] = []

    def count(translator: Translator, sources: list[str], *_: object, **__: object) -> Evaluation:
        model = translator.bundle.model
        heads = [
            own.output.weight.unflatten(1, (2, -1)).any(dim=(0, 2)) for kind in KINDS for own in model.attentions(kind)
        ]
        used.append(translator)
        return Evaluation(
            [Score("BLEU", float(sum(own.sum() for own in heads)), "sig")], sources, translator.settings, []
        )

    monkeypatch.setattr(module, "evaluate", count)
    report = inspect_heads(translator, pairs, bleu=translator.settings)
    assert (report.bleu, report.signature) == (6.0, "sig")
    assert [each.bleu for each in report.heads] == [-1.0] * 6
    # A translator that was used before may have a copy of the old weights.
    assert len(set(map(id, [translator, *used]))) == 8


@pytest.mark.parametrize(
    ("kind", "figures", "extra", "expected"),
    [
        ("encoder", {"previous": 0.7}, {}, [("previous position", 0.7)]),
        ("encoder", {"previous": 0.49, "same": 0.49}, {}, []),
        ("encoder", {"next": 0.5, "mark": 0.6}, {}, [("sentence end", 0.6), ("next position", 0.5)]),
        ("decoder", {"next": math.nan, "mark": 0.6}, {}, [("sentence start", 0.6)]),
        ("cross", {"punctuation": 0.9}, {}, [("punctuation", 0.9)]),
        ("cross", {}, {"information": 0.2}, [("alignment", 0.2)]),
        ("cross", {}, {"information": 0.05}, []),
        ("cross", {}, {"information": 0.2, "aligned": 0.4}, []),
        ("cross", {}, {"information": 0.05, "aligned": 0.8}, [("alignment", 0.8)]),
    ],
)
def test_roles(
    kind: str, figures: dict[str, float], extra: dict[str, float], expected: list[tuple[str, float]]
) -> None:
    report = HeadReport(Head(kind, 1, 1), {**NOTHING, **figures}, None, math.nan, 0.0, **extra)
    assert report.roles() == expected


def test_the_table_has_the_columns_that_were_asked_for() -> None:
    figures = {**NOTHING, "next": math.nan}
    heads = [
        HeadReport(Head("decoder", 1, 1), figures, None, math.nan, 0.01234),
        HeadReport(Head("cross", 12, 10), {**NOTHING, "mark": 0.75}, Head("cross", 1, 1), 0.25, -0.5, information=0.02),
    ]
    report = ModelReport("run", "final", 1200, "test", 3, 1.5, heads, {kind: np.zeros((1, 1)) for kind in KINDS})
    lines = head_table(report).splitlines()
    assert lines[0] == "run (final, step 1,200) on 3 pairs of test: loss 1.5000 nats per token"
    titles, *rows = [line.split() for line in lines[-3:]]
    assert titles[0] == "head" and "aligned" not in titles and "BLEU" not in titles
    named = [dict(zip(titles, row, strict=False)) for row in rows]
    assert named[0] | {"head": "decoder.1.1", "next": "-", "alike": "-", "distance": "-", "loss": "+0.0123"} == named[0]
    assert named[1] | {"mark": "0.75", "alike": "cross.1.1", "info": "0.02", "loss": "-0.5000"} == named[1]
    assert lines[-1].endswith("sentence end (0.75)")
    full = replace(
        report, bleu=30.0, signature="sig", gold_words=7,
        heads=[replace(each, bleu=-1.25, aligned=0.5) for each in heads],
    )  # fmt: skip
    table = head_table(full)
    assert "BLEU 30.00 (sig)" in table and "-1.25" in table and "7 aligned words" in table
