"""The engine over CTranslate2 says what the library's searches find, in our terms, whatever batch a sentence is in."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.attention import pack
from translator.checkpoints import Bundle, load_bundle
from translator.config import DecodingSettings
from translator.decoding import Hypothesis, LengthPenalty, NativeEngine, Request
from translator.decoding.scoring import score_pairs
from translator.errors import ConfigError, DeviceError
from translator.inference import TransformerStepModel
from translator.model import build_model
from translator.runtime.device import Machine

pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
from translator.interop.ctranslate2.engine import CTranslate2Engine

# Shapes of models, and how much to add to the logit of the end mark so that sentences end here and there.
ENDING: list[tuple[dict[str, Any], float]] = [
    ({}, 4.0),
    ({"norm": "pre", "activation": "gelu"}, 3.0),
    ({"positions": "learned", "tie_embeddings": "decoder", "encoder_layers": 2}, 7.0),
    ({"norm": "pre", "tie_embeddings": "none", "head_dim": 5, "decoder_layers": 2}, 3.0),
    ({"activation": "swish", "positions": "marian", "norm_epsilon": 0.1, "output_bias": True}, 4.0),
]
LONGEST = 23
BOS, EOS = 1, 2

MakeBundle = Callable[..., Bundle]


@pytest.fixture(scope="module")
def make_bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeBundle:
    """A run with a model of any shape, whose weights are large enough to prefer some pieces to others."""
    made: dict[str, Bundle] = {}

    def make(shape: dict[str, Any], end_bias: float) -> Bundle:
        name = f"{shape} {end_bias}"
        if name not in made:
            run = load_bundle(tiny_run, device="cpu")
            model_settings = run.config.model.model_copy(update={"max_positions": LONGEST + 1, **shape})
            pieces = run.tokenizers.source.vocab_size
            model = build_model(model_settings, pieces, pieces, seed=3).eval()
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():
                for parameter_name, parameter in model.named_parameters():
                    if "embedding.weight" not in parameter_name and parameter_name != "output_weight":
                        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.4)
                prefer_ending(model, end_bias)
            config = run.config.model_copy(update={"model": model_settings})
            made[name] = dataclasses.replace(run, directory=tmp_path_factory.mktemp("run"), config=config, model=model)
        return made[name]

    return make


def prefer_ending(model: Any, bias: float) -> None:
    """Add `bias` to the logit of the end mark: the bias of the last norm points the way of its row."""
    row = model.output_weight[EOS]
    row.mul_(1.5 / row.norm())
    norm = model.decoder_norm if model.settings.norm == "pre" else model.decoder_layers[-1].feed_forward_residual.norm
    norm.bias.add_(row * bias / row.square().sum())


def requests_of(seed: int, count: int, vocabulary: int = 300, longest: int = 9, **others: Any) -> list[Request]:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, longest, (count,), generator=generator).tolist()
    return [
        Request(tuple(torch.randint(3, vocabulary, (size,), generator=generator).tolist()), **others) for size in sizes
    ]


class LibrarySearch:
    """The library's beam search in a few lines: it stops at as many endings as the beam is wide."""

    def __init__(self, bundle: Bundle, decoding: DecodingSettings) -> None:
        self.model, self.decoding = bundle.model, decoding
        self.penalty = LengthPenalty(decoding.length_penalty, decoding.length_alpha)

    def __call__(self, request: Request) -> list[Hypothesis]:
        width, limit, unpenalised = (
            self.decoding.beam_size,
            limit_of(request, self.decoding),
            self.decoding.length_alpha == 0,
        )
        live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        found: list[tuple[float, tuple[int, ...]]] = []
        for length in range(1, limit + 1):
            candidates = [
                (total + value, (*tokens, piece))
                for total, tokens in live
                for piece, value in enumerate(self.log_probabilities(request, tokens))
            ]
            best = sorted(candidates, reverse=True)[: 2 * width]
            found += [entry for entry in best[:width] if entry[1][-1] == EOS or length == limit]
            live = [entry for entry in best if entry[1][-1] != EOS][:width]
            if len(found) >= (self.decoding.n_best if unpenalised else width) and (
                not unpenalised or best[0][1][-1] == EOS
            ):
                break
        exponent = self.decoding.length_alpha * (1.0 if self.decoding.length_penalty == "mean" else 0.75)
        found = sorted(found, key=lambda entry: -entry[0] / len(entry[1]) ** exponent)[:width]
        # What was cut ends after the limit.
        whole = [
            (total, tokens)
            if tokens[-1] == EOS
            else (total + self.log_probabilities(request, tokens)[EOS], (*tokens, EOS))
            for total, tokens in found
        ]
        hypotheses = [
            Hypothesis(tokens[:-1], total, total / self.penalty(float(len(tokens)))) for total, tokens in whole
        ]
        return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[: self.decoding.n_best]

    @torch.inference_mode()
    def log_probabilities(self, request: Request, tokens: tuple[int, ...]) -> list[float]:
        states = self.model(pack([[*request.source, EOS]]), pack([[BOS, *tokens]]))
        return self.model.logits(states[-1:]).double().log_softmax(-1)[0].tolist()


def limit_of(request: Request, decoding: DecodingSettings) -> int:
    own = int(decoding.max_length_factor * len(request.source)) + decoding.max_length_extra
    return min(len(request.prefix) + own, LONGEST)


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[own.tokens for own in row] for row in found] == [[own.tokens for own in row] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert [own.log_probability for own in row] == pytest.approx([own.log_probability for own in wanted], abs=1e-4)
        assert [own.score for own in row] == pytest.approx([own.score for own in wanted], abs=1e-4)


def native(bundle: Bundle) -> NativeEngine:
    return NativeEngine(TransformerStepModel.of(bundle))


def assert_scored(bundle: Bundle, requests: list[Request], found: list[list[Hypothesis]], penalty: Any) -> None:
    """Log-probabilities are those of the model, whatever rules there were."""
    pairs = [(request.source, own) for request, row in zip(requests, found, strict=True) for own in row]
    steps = TransformerStepModel.of(bundle)
    scored = score_pairs([steps], [source for source, _ in pairs], [own.tokens for _, own in pairs])
    for (_, own), expected in zip(pairs, scored, strict=True):
        assert expected is not None
        assert own.log_probability == pytest.approx(expected.log_probability, abs=1e-4)
        assert own.score == pytest.approx(own.log_probability / penalty(len(own.tokens) + 1.0), abs=1e-6)


@pytest.mark.parametrize(("shape", "end_bias"), ENDING, ids=str)
def test_greedy_search_is_the_native_one(make_bundle: MakeBundle, shape: dict[str, Any], end_bias: float) -> None:
    """Also where a sentence reaches its own limit, which is lower than that of its batch."""
    requests = requests_of(1, 12)
    decoding = DecodingSettings(beam_size=1, max_length_factor=1.0, max_length_extra=3)
    for bundle in (make_bundle(shape, end_bias), make_bundle(shape, 0.0)):
        engine = CTranslate2Engine.of(bundle, threads=1)
        found = engine.search(requests, decoding)
        assert_same(found, native(bundle).search(requests, decoding))
        unscored = engine.search(requests, decoding, with_scores=False)
        assert [row[0].tokens for row in unscored] == [row[0].tokens for row in found]
        assert all(math.isnan(row[0].score) for row in unscored)
    # Without a bias, sentences do reach it.
    assert any(
        len(row[0].tokens) == limit_of(*pair) for row, *pair in zip(found, requests, [decoding] * 12, strict=True)
    )


@pytest.mark.parametrize(("penalty", "alpha", "n_best"), [("mean", 1.0, 3), ("gnmt", 0.6, 2), ("mean", 0.0, 1)])
@pytest.mark.parametrize(("shape", "end_bias"), ENDING, ids=str)
def test_beam_search_is_the_librarys_in_our_terms(
    make_bundle: MakeBundle, shape: dict[str, Any], end_bias: float, penalty: Any, alpha: float, n_best: int
) -> None:
    bundle = make_bundle(shape, end_bias)
    decoding = DecodingSettings(
        beam_size=3, n_best=n_best, length_penalty=penalty, length_alpha=alpha, max_length_factor=1.0,
        max_length_extra=5,
    )  # fmt: skip
    requests = requests_of(2, 12)
    found = CTranslate2Engine.of(bundle, threads=1).search(requests, decoding)
    assert_same(found, [LibrarySearch(bundle, decoding)(request) for request in requests])
    assert_scored(bundle, requests, found, LengthPenalty(penalty, alpha))
    # The native search looks at all that the library finds, and goes on where that stops.
    for row, better in zip(found, native(bundle).search(requests, decoding), strict=True):
        assert better[0].score >= row[0].score - 1e-4


@pytest.mark.parametrize("prefix", [(), (3,)])
def test_neighbours_with_higher_limits_or_a_prefix_do_not_matter(
    make_bundle: MakeBundle, prefix: tuple[int, ...]
) -> None:
    """Searches that end just at their limit, and sentences that could end at once, beside others with a prefix."""
    decoding = DecodingSettings(
        beam_size=2, n_best=2, length_alpha=0.6 if prefix else 1.0, max_length_factor=1.0, max_length_extra=1
    )
    requests = [*requests_of(8, 60), *requests_of(9, 60, prefix=prefix)]
    for shape_and_bias in ENDING:
        engine = CTranslate2Engine.of(make_bundle(*shape_and_bias), threads=1)
        assert_same(engine.search(requests, decoding), [engine.search([request], decoding)[0] for request in requests])


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_sentence_is_translated_alike_in_any_batch(make_bundle: MakeBundle, data: st.DataObject) -> None:
    bundle = make_bundle(*ENDING[data.draw(st.integers(0, 3))])
    decoding = DecodingSettings(
        beam_size=data.draw(st.integers(1, 3)),
        length_penalty=data.draw(st.sampled_from(["gnmt", "mean"])),
        length_alpha=data.draw(st.sampled_from([0.0, 0.6, 1.0])),
        max_length_factor=data.draw(st.sampled_from([0.0, 0.5, 1.5])),
        max_length_extra=data.draw(st.integers(1, 6)),
        min_length_factor=data.draw(st.sampled_from([0.0, 0.5])),
        block_ngrams=data.draw(st.sampled_from([0, 1, 2])),
        batch_tokens=data.draw(st.integers(1, 100)),
    )
    decoding = decoding.model_copy(update={"n_best": decoding.beam_size})
    piece = st.integers(3, 300)
    requests = [
        Request(tuple(source), prefix=tuple(prefix))
        for source, prefix in data.draw(
            st.lists(st.tuples(st.lists(piece, max_size=9), st.lists(piece, max_size=2)), max_size=7)
        )
    ]
    engine = CTranslate2Engine.of(bundle, threads=2)
    together = engine.search(requests, decoding)
    assert_same(together, [engine.search([request], decoding)[0] for request in requests])
    assert_same(engine.search(requests[::-1], decoding), together[::-1])
    for request, row in zip(requests, together, strict=True):
        if not request.source:
            assert row == [Hypothesis((), 0.0, 0.0)]
            continue
        limit = limit_of(request, decoding)
        minimum = min(int(decoding.min_length_factor * len(request.source)), limit)
        assert [own.score for own in row] == sorted((own.score for own in row), reverse=True)
        assert len({own.tokens for own in row}) == len(row) <= decoding.n_best
        for own in row:
            assert minimum <= len(own.tokens) <= limit
            assert own.tokens[: len(request.prefix)] == request.prefix


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize(
    "rules",
    [{"min_length_factor": 1.0, "min_length_extra": 1}, {"block_ngrams": 1}, {"block_ngrams": 2}],
    ids=str,
)
def test_rules_are_followed_and_change_no_log_probability(
    make_bundle: MakeBundle, beam_size: int, rules: dict[str, Any]
) -> None:
    bundle = make_bundle(*ENDING[1])
    decoding = DecodingSettings(beam_size=beam_size, max_length_factor=1.0, max_length_extra=4, **rules)
    requests = requests_of(3, 12)
    found = CTranslate2Engine.of(bundle, threads=1).search(requests, decoding)
    free = DecodingSettings(beam_size=beam_size, max_length_factor=1.0, max_length_extra=4)
    assert found != CTranslate2Engine.of(bundle, threads=1).search(requests, free)
    assert_scored(bundle, requests, found, LengthPenalty())
    if beam_size == 1:
        assert_same(found, native(bundle).search(requests, decoding))
    for request, row in zip(requests, found, strict=True):
        tokens, size = row[0].tokens, decoding.block_ngrams
        assert len(tokens) >= int(decoding.min_length_factor * len(request.source)) + decoding.min_length_extra
        ngrams = [tokens[place : place + size] for place in range(len(tokens) - size + 1)] if size else []
        assert len(set(ngrams)) == len(ngrams)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_every_hypothesis_begins_with_its_prefix(make_bundle: MakeBundle, beam_size: int) -> None:
    bundle = make_bundle(*ENDING[3])
    decoding = DecodingSettings(beam_size=beam_size, n_best=beam_size, max_length_factor=1.0, max_length_extra=4)
    engine = CTranslate2Engine.of(bundle, threads=1)
    requests = [*requests_of(4, 5, prefix=(9, 9)), *requests_of(5, 3)]
    found = engine.search(requests, decoding)
    assert_scored(bundle, requests, found, LengthPenalty())
    assert all(own.tokens[:2] == (9, 9) for row in found[:5] for own in row)
    if beam_size == 1:
        assert_same(found, native(bundle).search(requests, decoding))
    # The limit is for what follows the prefix. At the model's own there is only the end token, and beyond it nothing.
    bundle = make_bundle({}, -30.0)
    engine = CTranslate2Engine.of(bundle, threads=1)
    short = DecodingSettings(beam_size=beam_size, n_best=beam_size, max_length_factor=0.0, max_length_extra=2)
    requests = [Request((5, 6), prefix=(7, 8) * half) for half in (5, 11)]
    assert [{len(own.tokens) for own in row} for row in engine.search(requests, short)] == [{12}, {LONGEST}]
    requests = [Request((5, 6), prefix=(7,) * size) for size in (LONGEST, LONGEST + 1)]
    assert_same(engine.search(requests, short), native(bundle).search(requests, short))
    with pytest.raises(ConfigError, match="a prefix contains the end token"):
        engine.search([Request((5,), prefix=(EOS,))], decoding)


def test_progress_counts_every_sentence_once(make_bundle: MakeBundle) -> None:
    """Those that are searched again within their own limit, too."""
    bundle = make_bundle(ENDING[0][0], 0.0)
    requests = [*requests_of(6, 20), Request(())]
    heard: list[int] = []
    decoding = DecodingSettings(beam_size=2, max_length_factor=1.0, max_length_extra=1, batch_tokens=50)
    CTranslate2Engine.of(bundle, threads=2).search(requests, decoding, on_batch=heard.append)
    assert sum(heard) == 20 and len(heard) > 4


def test_what_the_library_cannot_do_is_refused_at_once(make_bundle: MakeBundle) -> None:
    engine = CTranslate2Engine.of(make_bundle(*ENDING[0]), threads=1)
    decoding = DecodingSettings(
        search="sampling", beam_size=4, diverse_groups=2, repetition_penalty=0.5, required=["a"]
    )
    with pytest.raises(ConfigError) as caught:
        engine.search([Request((5,), banned=("dog",))], decoding)
    names = [problem.partition(":")[0] for problem in caught.value.problems]
    assert names == ["search=sampling", "diverse_groups", "repetition_penalty", "banned", "required"]
    assert all("use the native engine" in problem for problem in caught.value.problems)
    with pytest.raises(ConfigError, match="search=mbr"):
        engine.search([], DecodingSettings(search="mbr"))


def test_numbers_that_went_wrong_are_no_translation(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle(*ENDING[0])
    model = build_model(bundle.config.model, *(len(bundle.model.output_weight),) * 2, seed=1).eval()
    with torch.no_grad():
        model.output_weight.fill_(math.nan)
    engine = CTranslate2Engine.of(dataclasses.replace(bundle, directory=tmp_path, model=model), threads=1)
    for beam_size in (1, 3):
        assert engine.search([Request((5, 6))], DecodingSettings(beam_size=beam_size)) == [[]]


def test_int8_weights_say_nearly_the_same(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(*ENDING[3])
    requests, decoding = requests_of(7, 20), DecodingSettings(beam_size=1, max_length_extra=3)
    exact = CTranslate2Engine.of(bundle, threads=1).search(requests, decoding)
    rounded = CTranslate2Engine.of(bundle, threads=1, quantize="int8").search(requests, decoding)
    same = sum(one[0].tokens == other[0].tokens for one, other in zip(exact, rounded, strict=True))
    differences = [
        abs(one[0].log_probability - other[0].log_probability)
        for one, other in zip(exact, rounded, strict=True)
        if one[0].tokens == other[0].tokens
    ]
    assert same > 5
    assert 0.0 < max(differences) < 1.0


def test_a_number_format_that_the_cpu_lacks_is_replaced_aloud(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(*ENDING[0])
    bundle = dataclasses.replace(bundle, machine=Machine(torch.device("cpu"), "bf16"))
    CTranslate2Engine.of(bundle, threads=1)
    assert "cannot compute in bf16 on the CPU and does so in fp32" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what is said without a CUDA device")
def test_a_device_that_the_library_cannot_use_is_explained(make_bundle: MakeBundle) -> None:
    bundle = dataclasses.replace(make_bundle(*ENDING[0]), machine=Machine(torch.device("cuda"), "fp32"))
    with pytest.raises(DeviceError, match="ctranslate2 cannot load .* use the native engine"):
        CTranslate2Engine.of(bundle)
