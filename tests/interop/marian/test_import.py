"""Models of Marian become runs that compute the same, translate, and can be trained further."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch

from tests.interop.marian.reference import Marian, random_arrays, settings, write_bin, write_npz
from translator.attention import pack
from translator.checkpoints import load_bundle
from translator.errors import TranslatorError
from translator.interop.detect import read_foreign
from translator.interop.imported import Languages, write_imported

Call = Callable[..., tuple[int, str, str]]
LINES = [f"{first} {second} reads {third}." for first in ("a dog", "the cat", "my friend") for second in
         ("today", "at home", "slowly") for third in ("a book", "the letter", "old stories")]  # fmt: skip


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model as Marian trains it: `</s>` is 0, `<unk>` is 1, and there is no `<s>`."""
    file, writer = tmp_path_factory.mktemp("spm") / "vocab.spm", io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=writer, model_type="bpe", vocab_size=60, bos_id=-1, eos_id=0,
        unk_id=1, pad_id=-1, minloglevel=3,
    )  # fmt: skip
    file.write_bytes(writer.getvalue())
    return file


def vocabulary_of(spm: Path) -> int:
    return int(sentencepiece.SentencePieceProcessor(model_file=str(spm)).vocab_size())


def model_directory(path: Path, spm: Path, write: Callable[..., Path] = write_npz, **changes: Any) -> Path:
    path.mkdir()
    values = settings(**changes)
    name = "model.bin" if write is write_bin else "model.npz"
    write(path / name, random_arrays(values, vocabulary_of(spm)), values)
    shutil.copy(spm, path / "vocab.spm")
    files = f"models:\n  - {name}\nvocabs:\n  - vocab.spm\n  - vocab.spm\n"
    (path / "decoder.yml").write_text(f"relative-paths: true\n{files}beam-size: 3\nnormalize: 0.6\n")
    return path


@pytest.mark.parametrize(
    ("changes", "tied", "kind"),
    [
        ({}, "all", "npz"),
        ({"transformer_ffn_activation": "swish"}, "decoder", "bin"),
        ({}, "none", "npz"),
        ({"transformer_decoder_autoreg": "rnn", "dec_cell": "ssru"}, "all", "intgemm8"),
    ],
)  # fmt: skip
def test_logits_are_those_of_marian(changes: dict[str, Any], tied: str, kind: str, spm: Path, tmp_path: Path) -> None:
    values = settings(**changes)
    arrays = random_arrays(values, vocabulary_of(spm), tied)
    if kind == "npz":
        file = write_npz(tmp_path / "model.npz", arrays, values)
    else:
        file = write_bin(tmp_path / "model.bin", arrays, values, quantised=kind == "intgemm8")
    model = read_foreign(file, Languages("en", "pt"), [spm])
    write_imported(model, tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    assert (bundle.config.model.tie_embeddings, bundle.config.data.target_language) == (tied, "pt")
    assert bundle.config.model.dropout == 0.0
    source, target = [5, 9, 17, 30, 0], [8, 44, 3, 21]
    bos = bundle.tokenizers.target.bos_id
    with torch.inference_mode():
        states = bundle.model(pack([source, [7, 0]]), pack([[bos, *target], [bos]]))
        found = bundle.model.logits(states)[: len(target) + 1]
    expected = Marian(arrays, values).logits(source, target)
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", ["attention", "ssru"])
def test_imported_runs_translate_and_train_on(cell: str, spm: Path, tmp_path: Path, call_program: Call) -> None:
    changes = {"transformer_decoder_autoreg": "rnn", "dec_cell": "ssru"} if cell == "ssru" else {}
    source = model_directory(tmp_path / "marian", spm, write_bin, **changes)
    run = tmp_path / "run"
    code, output, errors = call_program("import", source, "--output", run, "--languages", "en-pt")
    assert (code, output) == (0, f"{run}\n"), errors
    assert "imported from Marian: 2+2 layers" in errors
    config = load_bundle(run).config
    assert (config.decoding.beam_size, config.decoding.length_alpha) == (3, 0.6)
    found = {}
    for engine in ("native",) if cell == "ssru" else ("native", "ctranslate2"):
        options = ["--format=tsv", f"--engine={engine}", "--set=beam_size=1"]
        code, found[engine], errors = call_program("translate", run, *options, input=b"a dog reads\n\nthe letter\n")
        assert code == 0, errors
    texts = {engine: [line.split("\t")[4] for line in output.splitlines()] for engine, output in found.items()}
    assert len({repr(lines) for lines in texts.values()}) == 1 and len(texts["native"]) == 3
    corpus = tmp_path / "corpus"
    for language in ("en", "pt"):
        corpus.with_suffix(f".{language}").write_text("\n".join(LINES) + "\n")
    words = [f"data.train={corpus}.{{en,pt}}", "data.held_out=4", "training.max_steps=3", "training.batch_tokens=200",
             f"start_from={run}", f"run={tmp_path / 'tuned'}"]  # fmt: skip
    code, _, errors = call_program("train", *words)
    assert code == 0, errors
    assert load_bundle(tmp_path / "tuned").config.model == config.model


def test_lists_of_pieces_number_what_two_sentencepiece_models_cut(spm: Path, tmp_path: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(spm))
    pieces = [processor.id_to_piece(index) for index in range(processor.vocab_size())]
    order = [*pieces[:2], *reversed(pieces[2:]), ">>pt<<"]
    directory = tmp_path / "opus"
    directory.mkdir()
    for name in ("source.spm", "target.spm"):
        shutil.copy(spm, directory / name)
    lines = "".join(f"{json.dumps(piece, ensure_ascii=False)}: {index}\n" for index, piece in enumerate(order))
    (directory / "opus.spm32k-spm32k.vocab.yml").write_text(lines)
    values = settings()
    # Marian pads the vocabulary to a multiple of eight.
    write_npz(directory / "model.npz", random_arrays(values, 64), values)
    model = read_foreign(directory, Languages())
    assert model.tokenizers.joint and model.language_tags and model.tokenizers.sizes == (64, 64)
    source = model.tokenizers.source
    text = "my friend reads a book."
    assert source.encode([text])[0] == [order.index(piece) for piece in processor.encode(text, out_type=str)]
    assert source.decode(source.encode([text])[0]) == text
    assert source.tags == {"pt": order.index(">>pt<<")}


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (open, (str(self.path), "w"))


def test_hostile_files_are_refused_in_a_sentence(spm: Path, tmp_path: Path, call_program: Call) -> None:
    values = settings()
    arrays = random_arrays(values, vocabulary_of(spm))
    whole = write_bin(tmp_path / "whole.bin", arrays, values).read_bytes()
    files: dict[str, bytes] = {
        f"short{size}.bin": whole[:size] for size in (0, 7, 40, 900, len(whole) // 2, len(whole) - 1)
    }
    files["count.bin"] = whole[:8] + b"\xff" * 8 + whole[16:]
    files["name.bin"] = whole[:16] + b"\xff" * 8 + whole[24:]
    files["noise.npz"] = bytes(range(256)) * 9
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    trap = tmp_path / "trap"
    np.savez(tmp_path / "pickle.npz", Wemb=np.array([Bomb(trap)], dtype=object))
    write_npz(tmp_path / "missing.npz", {k: v for k, v in arrays.items() if k != "encoder_l1_self_Wq"}, values)
    write_npz(tmp_path / "more.npz", arrays | {"decoder_l9_self_Wq": arrays["encoder_l1_self_Wq"]}, values)
    write_npz(tmp_path / "shape.npz", arrays | {"encoder_l1_self_Wq": arrays["encoder_l1_ffn_W1"]}, values)
    write_npz(tmp_path / "kind.npz", arrays, settings(type="s2s", transformer_tied_layers="[1, 1]"))
    write_npz(tmp_path / "huge.npz", arrays, settings(enc_depth=10**9))
    claim = np.lib.format.header_data_from_array_1_0(np.zeros(1, "f4")) | {"shape": (10**14,)}
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, claim)
        archive.writestr("Wemb.npy", header.getvalue() + bytes(64))
    norms = {"transformer_preprocess": "n", "transformer_postprocess": "da", "transformer_postprocess_top": "n"}
    write_npz(tmp_path / "norm.npz", random_arrays(settings(**norms), vocabulary_of(spm)), settings(**norms))
    (tmp_path / "model.pt").write_bytes(b"PK")
    for name in [
        *files,
        *(f"{name}.npz" for name in ("pickle", "missing", "more", "shape", "kind", "huge", "claim", "norm")),
        "model.pt",
        "none",
    ]:
        run = tmp_path / f"run of {name}"
        code, output, errors = call_program("import", tmp_path / name, "--output", run, "--vocabulary", spm)
        assert (code, output) == (1, "") and "Traceback" not in errors and name in errors, (name, errors)
        assert not run.exists()
    assert not trap.exists()


def test_a_vocabulary_of_another_model_is_refused(spm: Path, tmp_path: Path) -> None:
    values = settings()
    write_npz(tmp_path / "model.npz", random_arrays(values, 70), values)
    with pytest.raises(TranslatorError, match="has 60 pieces and the model embeddings for 70"):
        read_foreign(tmp_path / "model.npz", Languages(), [spm])


def test_a_tokenizer_that_would_not_be_used_is_refused(spm: Path, tmp_path: Path) -> None:
    with pytest.raises(TranslatorError, match="--tokenizer: the vocabulary .*vocab.spm cuts words itself"):
        read_foreign(model_directory(tmp_path / "marian", spm), Languages(), tokenizers=[spm])


def test_configurations_that_cannot_be_read_are_passed_over(spm: Path, tmp_path: Path) -> None:
    path = model_directory(tmp_path / "marian", spm)
    (path / "train.yml").symlink_to(tmp_path / "gone.yml")
    (path / "old.yml").mkdir()
    assert read_foreign(path, Languages()).decoding["beam_size"] == 3


def test_arrays_of_any_other_shape_are_refused(spm: Path, tmp_path: Path) -> None:
    values = settings()
    arrays = random_arrays(values, vocabulary_of(spm))
    kinds: dict[str, str] = {re.sub(r"_l\d_", "_l_", name): name for name in arrays}
    changes: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda array: array[:1, :1], lambda array: array[:0], lambda array: np.concatenate([array, array]),
        lambda array: array[None, None], lambda array: np.float32(3),
    ]  # fmt: skip
    for index, name in enumerate(kinds.values()):
        for change in (changes[index % 5], changes[(index + 2) % 5]):
            file = write_npz(tmp_path / "model.npz", arrays | {name: np.asarray(change(arrays[name]))}, values)
            with pytest.raises(TranslatorError):
                write_imported(read_foreign(file, Languages(), [spm]), tmp_path / "run")
            assert not (tmp_path / "run").exists()


def test_a_named_file_outside_its_directory_is_not_read(spm: Path, tmp_path: Path) -> None:
    path = model_directory(tmp_path / "marian", spm)
    (path / "model.npz").rename(tmp_path / "outside.npz")
    (path / "vocab.spm").rename(tmp_path / "outside.spm")
    (path / "decoder.yml").write_text(
        "models:\n  - ../outside.npz\nvocabs:\n  - ../outside.spm\n  - ../outside.spm\nrelative-paths: true\n"
    )
    with pytest.raises(TranslatorError, match="is no model that can be read"):
        read_foreign(path, Languages())
