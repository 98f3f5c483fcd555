"""Lexical shortlists: what they list, and that searches stay within them."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.checkpoints import Bundle, load_bundle
from translator.config import DecodingSettings
from translator.data.lexicon import Lexicon
from translator.decoding import Request
from translator.decoding.scoring import score_pairs
from translator.errors import ConfigError
from translator.inference import TransformerStepModel
from translator.translation.engine_choice import EngineChoice

pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
from translator.interop.ctranslate2 import cached_ctranslate2
from translator.interop.ctranslate2.engine import CTranslate2Engine
from translator.interop.ctranslate2.shortlist import shortlist_of, shortlist_text

Program = Callable[..., tuple[int, str, str]]


def pieces_of(bundle: Bundle) -> list[str]:
    return bundle.tokenizers.target.pieces(range(bundle.tokenizers.target.vocab_size))


def rows(text: str) -> dict[str, list[str]]:
    return {key: own.split() for key, own in (line.split("\t") for line in text.splitlines())}


def test_a_line_has_the_best_pieces_and_the_piece_itself(bundle: Bundle) -> None:
    pieces = pieces_of(bundle)
    frequency = np.zeros(len(pieces), dtype=np.int64)
    frequency[[300, 301, 302]] = 5, 9, 7
    lexicon = Lexicon(
        np.array([290, 290, 290, 291]), np.array([310, 311, 312, 291]), np.array([0.5, 0.4, 0.1, 1.0]), frequency
    )
    found = rows(shortlist_text(lexicon, bundle.tokenizers, best=2, frequent=2))
    assert found[""] == [pieces[301], pieces[302]]
    assert found[pieces[290]] == [pieces[310], pieces[311], pieces[290]]
    assert found[pieces[291]] == [pieces[291]]
    assert rows(shortlist_text(lexicon, bundle.tokenizers, best=2, frequent=9))[""] == [
        pieces[i] for i in (301, 302, 300)
    ]


def test_vocabularies_of_two(bundle: Bundle, with_two_vocabularies: Callable[[Bundle], Bundle]) -> None:
    """The same piece has another id on the other side, or is not there."""
    two = with_two_vocabularies(bundle)
    nothing = Lexicon(
        *(np.zeros(0, dtype=np.int64) for _ in range(3)), np.zeros(two.tokenizers.sizes[1], dtype=np.int64)
    )
    found = rows(shortlist_text(nothing, two.tokenizers, best=2, frequent=2))
    source = two.tokenizers.source.pieces(range(two.tokenizers.source.vocab_size))
    shared = [piece for piece in source if piece in set(pieces_of(two))]
    assert len(shared) < len(source)
    assert found == {"": [], **{piece: [piece] for piece in shared}}


def search(bundle: Bundle, shortlist: bool, **settings: Any) -> list[Any]:
    engine = CTranslate2Engine.of(bundle, shortlist=shortlist)
    decoding = DecodingSettings.model_validate({"max_length_extra": 4, "n_best": 1, **settings})
    return engine.search([Request((300, 290, 7)), Request((281,)), Request((305, 306))], decoding)


@pytest.mark.parametrize("settings", [{"beam_size": 1}, {"beam_size": 3, "n_best": 2}])
def test_searches_stay_within_the_shortlist(bundle: Bundle, with_model: Any, settings: dict[str, Any]) -> None:
    run = dataclasses.replace(with_model(bundle), directory=bundle.directory)
    pieces, allowed = pieces_of(run), [290, 299, 302, 311, 319]
    (run.directory / "shortlist.txt").write_text(
        "\t" + " ".join(pieces[index] for index in allowed[:3]) + "\n"
        + f"{pieces[290]}\t{pieces[311]}\n{pieces[281]}\t{pieces[319]}\n", encoding="utf-8"
    )  # fmt: skip
    found, free = search(run, True, **settings), search(run, False, **settings)
    used = {piece for own in found for hypothesis in own for piece in hypothesis.tokens}
    assert used and used <= {*allowed, 0, 1, 2}
    assert not {piece for own in free for hypothesis in own for piece in hypothesis.tokens} <= {*allowed, 0, 1, 2}
    # Their log-probabilities are those over all pieces.
    sources = [(300, 290, 7), (281,), (305, 306)]
    pairs = [(source, each) for source, own in zip(sources, found, strict=True) for each in own]
    scored = score_pairs(
        [TransformerStepModel.of(run)], [source for source, _ in pairs], [each.tokens for _, each in pairs]
    )
    expected = [each.log_probability for each in scored if each is not None]
    assert [each.log_probability for _, each in pairs] == pytest.approx(expected, abs=1e-3)


def test_a_shortlist_of_all_pieces_changes_nothing(bundle: Bundle, with_model: Any) -> None:
    run = dataclasses.replace(with_model(bundle), directory=bundle.directory)
    (run.directory / "shortlist.txt").write_text(f"\t{' '.join(pieces_of(run))}\n", encoding="utf-8")
    for beam in (1, 3):
        found, expected = search(run, True, beam_size=beam), search(run, False, beam_size=beam)
        assert [[each.tokens for each in own] for own in found] == [[each.tokens for each in own] for own in expected]


def test_records_tell_shortlists_apart(bundle: Bundle) -> None:
    names = [CTranslate2Engine.of(bundle).name]
    for index in (300, 301, 301):
        (bundle.directory / "shortlist.txt").write_text(f"\t{pieces_of(bundle)[index]}\n", encoding="utf-8")
        names.append(CTranslate2Engine.of(bundle, shortlist=True).name)
    assert names[0] == "ctranslate2" and names[2] == names[3]
    assert [name[:22] for name in names[1:3]] == ["ctranslate2+shortlist-"] * 2 and names[1] != names[2]


def test_another_shortlist_is_another_export(bundle: Bundle) -> None:
    file = bundle.directory / "shortlist.txt"
    plain, paths = cached_ctranslate2(bundle), []
    for index in (300, 301):
        file.write_text(f"\t{pieces_of(bundle)[index]}\n", encoding="utf-8")
        paths.append(cached_ctranslate2(bundle, shortlist_of(bundle)))
        assert (paths[-1] / "vmap.txt").read_bytes() == file.read_bytes()
    assert plain.is_dir() and paths[1].is_dir() and not paths[0].is_dir(), "the newest of either kind is kept"
    assert cached_ctranslate2(bundle, file) == paths[1] and not (plain / "vmap.txt").exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, r"there is no .*shortlist\.txt; make it with `translator shortlist .*`, or set decoding\.shortlist="),
        (b"\tqq\nno tab\n", r"shortlist\.txt, line 1: found '\\tqq', expected a source piece, a tab and target pieces"),
        (b"no tab\n", r"shortlist\.txt, line 1: found 'no tab', expected"),
        (b"\xff\n", r"cannot read .*shortlist\.txt"),
    ],
)  # fmt: skip
def test_a_missing_or_foreign_shortlist_is_explained(bundle: Bundle, content: bytes | None, error: str) -> None:
    if content is not None:
        (bundle.directory / "shortlist.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=error):
        shortlist_of(bundle)


def test_the_native_engine_has_none(bundle: Bundle) -> None:
    with pytest.raises(
        ConfigError, match=r"decoding\.shortlist: shortlists are for CTranslate2 on the CPU, but the native"
    ):
        EngineChoice([bundle], "native")(DecodingSettings(shortlist=True))


def test_made_from_prepared_data_used_and_exported(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for side, words in (("en", ("dog", "cat")), ("de", ("Hund", "Kater"))):
        (tmp_path / f"train.{side}").write_text("".join(f"{words[i % 2]} {i % 7} {i}\n" for i in range(60)))
    prepare = ("data", "prepare", f"data.train={tmp_path}/train.{{en,de}}", f"data.prepared={run}/prepared",
               "preset=tiny", f"tokenizer.model={run}/tokenizer.model", f"run={tmp_path}/other")  # fmt: skip
    code, _, errors = call_program(*prepare)
    assert code == 0, errors
    code, printed, errors = call_program("shortlist", run, "--best", "4", "--frequent", "3")
    assert (code, printed) == (0, f"{run}/shortlist.txt\n"), errors
    found = rows((run / "shortlist.txt").read_text(encoding="utf-8"))
    assert len(found[""]) == 3 and max(map(len, found.values())) == 5
    code, lines, errors = call_program("translate", run, "--set", "shortlist=true", input=b"dog 3\n")
    assert code == 0 and lines.count("\n") == 1, errors
    for options, has_it in ((["--shortlist"], True), ([], False)):
        code, _, errors = call_program("export", run, "--to", "ctranslate2", "--output", tmp_path / "out", *options)
        assert code == 0 and (tmp_path / "out" / "vmap.txt").exists() == has_it, errors
        assert ("use_vmap=True" in (tmp_path / "out" / "README.md").read_text()) == has_it
    code, _, errors = call_program("export", run, "--to", "huggingface", "--output", tmp_path / "hf", "--shortlist")
    assert code == 2 and "--shortlist is for ctranslate2" in errors


def test_data_of_another_vocabulary_make_no_shortlist(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for side in ("en", "de"):
        (tmp_path / f"train.{side}").write_text("".join(f"other words {i}\n" for i in range(60)))
    train = f"data.train={tmp_path}/train.{{en,de}}"
    prepare = ("data", "prepare", train, f"data.prepared={run}/prepared", "preset=tiny", "tokenizer.vocab_size=300")
    code, _, errors = call_program(*prepare, "run=" + str(tmp_path / "other"))
    assert code == 0, errors
    code, _, errors = call_program("shortlist", run)
    assert code == 1 and "has another vocabulary than" in errors
    assert load_bundle(run, device="cpu") and not (run / "shortlist.txt").exists()
