"""CTranslate2 computes with an exported model what ours computes; an export in the run directory is made once."""

import dataclasses
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import Bundle, load_bundle
from translator.config import Config
from translator.decoding.scoring import score_pairs
from translator.errors import CheckpointError, ConfigError, TokenizerError
from translator.inference import TransformerStepModel
from translator.interop.ctranslate2 import cache, cached_ctranslate2, export_ctranslate2
from translator.model import build_model
from translator.text import Tokenizer, TokenizerPair, load_tokenizers, train_tokenizers

library = pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")

PAIRS = [([5, 6, 7, 8, 9, 10], [11, 12]), ([11], [5, 5, 8, 9, 30, 31]), ([30, 31], []), ([40, 5] * 4, [9, 7, 9])]


@pytest.fixture
def bundle(tiny_run: Path, tmp_path: Path) -> Bundle:
    """The tiny run, in a directory of its own that is empty."""
    return dataclasses.replace(load_bundle(tiny_run, device="cpu"), directory=tmp_path)


def with_model(bundle: Bundle, seed: int = 5, **shape: Any) -> Bundle:
    """The run with another shape of model, whose every weight is large enough to matter."""
    config = bundle.config.model_copy(update={"model": bundle.config.model.model_copy(update=shape)})
    sizes = bundle.tokenizers.source.vocab_size, bundle.tokenizers.target.vocab_size
    model = build_model(config.model, *sizes, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return dataclasses.replace(bundle, config=config, model=model)


def assert_same_model(bundle: Bundle, path: Path) -> None:
    """Log-probabilities of every piece and end mark are the same."""
    source, target = (tokenizer.pieces for tokenizer in (bundle.tokenizers.source, bundle.tokenizers.target))
    translator = library.Translator(str(path), compute_type="float32", intra_threads=1)
    found = translator.score_batch([source(pair[0]) for pair in PAIRS], [target(pair[1]) for pair in PAIRS])
    expected = score_pairs([TransformerStepModel.of(bundle)], *zip(*PAIRS, strict=True))
    for ours, theirs in zip(expected, found, strict=True):
        assert ours is not None
        assert theirs.log_probs == pytest.approx(ours.log_probabilities, abs=1e-5)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"norm": "pre"},
        {"activation": "gelu"},
        {"positions": "learned"},
        {"tie_embeddings": "decoder"},
        {"tie_embeddings": "none"},
        {"encoder_layers": 3, "decoder_layers": 2},
        {"head_dim": 5},
        {"d_model": 18, "num_heads": 3, "head_dim": 12, "d_ff": 23},
        {
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_heads": [1, 2],
            "decoder_heads": [2, 1],
            "cross_heads": [1, 3],
        },
        {"encoder_heads": [1], "decoder_heads": [1], "cross_heads": [1]},
        {"norm": "pre", "activation": "gelu", "positions": "learned", "tie_embeddings": "none", "decoder_layers": 2},
    ],
    ids=str,
)
def test_the_library_computes_what_we_do(bundle: Bundle, shape: dict[str, Any]) -> None:
    bundle = with_model(bundle, **shape)
    assert_same_model(bundle, export_ctranslate2(bundle, bundle.directory / "model"))


def test_vocabularies_of_two_sizes(bundle: Bundle, tmp_path: Path) -> None:
    lines = [f"{first} {second}" for first in ("ein", "der", "das") for second in ("Hund", "Haus", "Mann")]
    settings = Config.model_validate({"tokenizer": {"vocab_size": 300}}).tokenizer
    target = train_tokenizers(lambda: iter(zip(lines, lines, strict=True)), settings, tmp_path, seed=1).target
    source = bundle.tokenizers.source
    assert source.vocab_size != target.vocab_size
    bundle = dataclasses.replace(bundle, tokenizers=TokenizerPair(source, target, False))
    bundle = with_model(bundle, tie_embeddings="decoder")
    path = export_ctranslate2(bundle, tmp_path / "model")
    assert_same_model(bundle, path)
    assert load_tokenizers(path).target.model == target.model


def test_the_decoder_begins_with_the_begin_mark(bundle: Bundle) -> None:
    bundle = with_model(bundle)
    translator = library.Translator(str(export_ctranslate2(bundle, bundle.directory / "model")), intra_threads=1)
    pieces = bundle.tokenizers.source.pieces([5, 6, 7])
    (answer,) = translator.translate_batch(
        [pieces], beam_size=1, length_penalty=0, min_decoding_length=0, max_decoding_length=4, return_scores=True
    )
    (scored,) = translator.score_batch([pieces], answer.hypotheses)
    assert len(answer.hypotheses[0]) == 4
    assert answer.scores[0] == pytest.approx(sum(scored.log_probs[:4]), abs=1e-4)


def test_an_export_takes_the_place_of_another(bundle: Bundle) -> None:
    path = bundle.directory / "model"
    export_ctranslate2(with_model(bundle, norm="pre"), path)
    assert_same_model(bundle, export_ctranslate2(bundle, path))
    assert [place.name for place in bundle.directory.iterdir()] == ["model"]


def test_a_place_that_cannot_be_written_is_explained(bundle: Bundle) -> None:
    (bundle.directory / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write .*model: Not a directory; choose another"):
        export_ctranslate2(bundle, bundle.directory / "file" / "model")


def test_pieces_that_cannot_be_told_apart_are_refused(bundle: Bundle) -> None:
    class Alike(Tokenizer):
        def pieces(self, ids: Any) -> list[str]:
            return ["a" if piece == "b" else piece for piece in super().pieces(ids)]

    source = Alike(bundle.tokenizers.source.model)
    bundle = dataclasses.replace(bundle, tokenizers=TokenizerPair(source, bundle.tokenizers.target, False))
    with pytest.raises(TokenizerError, match="two pieces of the source tokenizer are written alike"):
        export_ctranslate2(bundle, bundle.directory / "model")


def test_without_the_library_there_is_a_hint(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    for call in (cached_ctranslate2, lambda run: export_ctranslate2(run, run.directory / "model")):
        with pytest.raises(ConfigError, match="pip install ctranslate2"):
            call(bundle)
    assert not list(bundle.directory.iterdir())


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where models were written to."""
    places: list[Path] = []
    write: Callable[..., None] = cache.write_model

    def spy(bundle: Bundle, path: Path, *arguments: Any, **keywords: Any) -> None:
        places.append(path)
        write(bundle, path, *arguments, **keywords)

    monkeypatch.setattr(cache, "write_model", spy)
    return places


def test_an_export_in_the_run_directory_is_made_once(bundle: Bundle, written: list[Path]) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(cached_ctranslate2, [bundle] * 4))
    assert paths == written * 4
    assert paths[0].parent == bundle.directory / "exports"
    assert paths[0].name.startswith("ctranslate2-final-")
    assert_same_model(bundle, paths[0])


def test_other_weights_make_another_export_and_take_the_place_of_earlier_ones(
    bundle: Bundle, written: list[Path]
) -> None:
    first = cached_ctranslate2(bundle)
    other_name = cached_ctranslate2(dataclasses.replace(bundle, weights="final-2"))
    foreign = bundle.directory / "exports" / "ctranslate2-final-mine"
    foreign.mkdir()
    # The same name and step, but weights that are not the same.
    newer = with_model(bundle)
    second = cached_ctranslate2(newer)
    assert written == [first, other_name, second]
    assert sorted((bundle.directory / "exports").iterdir()) == sorted([other_name, foreign, second])
    assert_same_model(newer, second)


def test_what_an_interrupted_export_left_is_removed(bundle: Bundle) -> None:
    left = bundle.directory / "exports" / ".ctranslate2-final-0123456789abcdef.partial"
    left.mkdir(parents=True)
    assert list((bundle.directory / "exports").iterdir()) == [left]
    path = cached_ctranslate2(bundle)
    assert list((bundle.directory / "exports").iterdir()) == [path]


def test_a_run_directory_that_cannot_be_written(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle.directory / "exports").write_text("in the way")
    path = cached_ctranslate2(bundle)
    assert bundle.directory not in path.parents
    assert_same_model(bundle, path)
    assert capsys.readouterr().err.count("exports cannot be written") == 1


@pytest.mark.parametrize("damage", ["flip", "zero", "truncate", "delete", "more"])
def test_a_damaged_export_is_named_and_made_again(
    bundle: Bundle, written: list[Path], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    path = cached_ctranslate2(bundle)
    assert cached_ctranslate2(bundle) == path
    assert written == [path]
    for name in ("model.bin", "config.json", "sha256.json"):
        file = path / name
        data = bytearray(file.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 1
        file.write_bytes(bytes(len(data)) if damage == "zero" else data[:-5] if damage == "truncate" else data)
        if damage == "delete":
            file.unlink()
        if damage == "more":
            (path / "vocabulary.txt").write_text("a")
        assert cached_ctranslate2(bundle) == path
        assert_same_model(bundle, path)
    assert written == [path] * 4
    assert capsys.readouterr().err.count(f"warning: {path} is damaged") == 3
