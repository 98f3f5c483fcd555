"""Directories of `transformers` as runs: exports come back with equal bits, OPUS-MT's kind computes the same."""

import dataclasses
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file

from translator.attention import pack
from translator.checkpoints import Bundle, load_bundle, model_tensors
from translator.config import DecodingSettings
from translator.errors import CheckpointError, TranslatorError
from translator.interop.detect import read_foreign
from translator.interop.huggingface import export_huggingface
from translator.interop.imported import Languages, write_imported
from translator.text import TokenizerPair, Vocabulary

Make = Callable[..., Bundle]
LINES = ["a dog sleeps", "the house", "one big garden in the street", "ein Hund"]


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"activation": "swish", "output_bias": True, "tie_embeddings": "decoder"},
        {"tie_embeddings": "none", "encoder_layers": 2},
        {"norm": "pre", "positions": "learned", "activation": "gelu"},
        {"norm": "pre", "tie_embeddings": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("start", ["<s>", "zero"])
def test_an_export_comes_back_with_equal_bits(
    bundle: Bundle, with_model: Make, tmp_path: Path, shape: dict[str, Any], start: str
) -> None:
    if start == "zero":
        tokenizer = bundle.tokenizers.source
        pieces = [piece for piece in tokenizer.pieces(range(tokenizer.vocab_size)) if piece != "<s>"]
        other = type(tokenizer)(tokenizer.model, vocabulary=Vocabulary(tuple(reversed(pieces))))
        bundle = with_tokenizers(bundle, TokenizerPair(other, other, True))
    bundle = with_model(bundle, **shape)
    path = export_huggingface(bundle, tmp_path / "model")
    config = write_imported(read_foreign(path, Languages()), tmp_path / "run")
    again = load_bundle(tmp_path / "run")
    assert config.model == bundle.config.model.model_copy(update={"dropout": config.model.dropout})
    assert again.tokenizers.files() == bundle.tokenizers.files()
    assert (config.data.source_language, config.decoding.beam_size) == ("en", 2)
    expected, found = model_tensors(bundle.model), model_tensors(again.model)
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)


def with_tokenizers(bundle: Bundle, tokenizers: TokenizerPair) -> Bundle:
    return dataclasses.replace(bundle, tokenizers=tokenizers)


def opus_directory(path: Path, **changes: Any) -> Path:
    """What OPUS-MT publishes, in small: two SentencePiece models whose ids are not those of vocab.json."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `bench`")
    path.mkdir()
    names: set[str] = set()
    for side, lines in (("source", LINES[:3]), ("target", LINES[::-1])):
        writer = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines * 3), model_writer=writer, model_type="bpe", vocab_size=40, bos_id=-1,
            eos_id=1, unk_id=0, pad_id=-1, minloglevel=3,
        )  # fmt: skip
        (path / f"{side}.spm").write_bytes(writer.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=writer.getvalue())
        names |= {processor.id_to_piece(index) for index in range(processor.vocab_size())}
    pieces = ["</s>", "<unk>", *sorted(names - {"</s>", "<unk>"}), ">>deu<<", "<pad>"]
    (path / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    last = len(pieces) - 1
    shape = {
        "vocab_size": len(pieces), "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "activation_function": "swish", "max_position_embeddings": 64, "pad_token_id": last, "eos_token_id": 0,
        "bos_token_id": 0, "decoder_start_token_id": last, "scale_embedding": True, "forced_eos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(1)
    model = transformers.MarianMTModel(transformers.MarianConfig(**shape | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
        model.model.shared.weight[-1] = 0.0
        model.final_logits_bias.normal_()
    model.save_pretrained(path)
    (path / "generation_config.json").write_text('{"num_beams": 4}')
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "MarianTokenizer", "source_lang": "eng", "target_lang": "deu"})
    )
    return path


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_logits_and_ids_of_a_model_of_the_kind_of_opus_mt(tmp_path: Path, file: str, scaled: bool) -> None:
    path = opus_directory(tmp_path / "opus", scale_embedding=scaled)
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    if file == "pytorch_model.bin":
        torch.save(load_file(path / "model.safetensors"), path / file)
        (path / "model.safetensors").unlink()
    write_imported(read_foreign(path, Languages()), tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    assert (bundle.config.data.target_language, bundle.config.decoding.beam_size) == ("deu", 4)
    source, target = bundle.tokenizers.source, bundle.tokenizers.target
    assert source.tags == {"deu": source.vocab_size - 1} and target.zero_start
    pad = model.config.pad_token_id
    for text in [*LINES, "unknown Ω letters", ">>deu<< a dog"]:
        ids = tokenizer(text).input_ids
        tag = [source.tags["deu"]] if text.startswith(">>") else []
        assert [*tag, *source.encode([text.removeprefix(">>deu<< ")])[0], source.eos_id] == ids
        translation = tokenizer(text_target="ein Hund").input_ids[:-1]
        assert target.encode(["ein Hund"])[0] == translation
        with torch.inference_mode():
            inputs = torch.tensor([[pad, *translation]])
            expected = model(input_ids=torch.tensor([ids]), decoder_input_ids=inputs).logits[0]
            states = bundle.model(pack([ids]), pack([[target.bos_id, *translation]]))
            found = bundle.model.logits(states)
        torch.testing.assert_close(found, expected[:, :pad], atol=1e-4, rtol=1e-4)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (open, (str(self.path), "w"))


def test_hostile_directories_are_refused_in_a_sentence(
    bundle: Bundle, with_model: Make, tmp_path: Path, call_program: Callable[..., tuple[int, str, str]]
) -> None:
    whole = export_huggingface(with_model(bundle), tmp_path / "whole")
    tensors = load_file(whole / "model.safetensors")
    trap = tmp_path / "trap"
    first = next(name for name in tensors if name.endswith("fc1.weight"))
    cases: dict[str, Callable[[Path], object]] = {
        "short": lambda path: (path / "model.safetensors").write_bytes(
            (whole / "model.safetensors").read_bytes()[:900]
        ),
        "pickle": lambda path: (
            (path / "model.safetensors").unlink(),
            (path / "pytorch_model.bin").write_bytes(pickle.dumps({"model.shared.weight": Bomb(trap)})),
        ),
        "missing": lambda path: save_file({k: v for k, v in tensors.items() if k != first}, path / "model.safetensors"),
        "shape": lambda path: save_file(tensors | {first: tensors[first][:1].clone()}, path / "model.safetensors"),
        "kind": lambda path: change(path, model_type="bart"),
        "layers": lambda path: change(path, encoder_layers=10**9),
        "positions": lambda path: change(path, max_position_embeddings=10**12),
        "width": lambda path: change(path, d_model=10**12),
        "no width": lambda path: change(path, d_model=0),
        "header": lambda path: (path / "model.safetensors").write_bytes(
            (2**60).to_bytes(8, "little") + (whole / "model.safetensors").read_bytes()[8:]
        ),
        "flat": lambda path: save_file(
            tensors | {"model.shared.weight": tensors["model.shared.weight"].flatten()}, path / "model.safetensors"
        ),
        "start": lambda path: change(path, decoder_start_token_id=10**9),
        "text": lambda path: change(path, d_model="wide"),
        "json": lambda path: (path / "config.json").write_text("[" * 100_000),
        "vocabulary": lambda path: (path / "vocab.json").write_text('{"a": 5}'),
        "spm": lambda path: (path / "source.spm").write_bytes(b"\x00" * 50),
        "no spm": lambda path: (path / "target.spm").unlink(),
    }
    for name, damage in cases.items():
        path = tmp_path / name
        shutil.copytree(whole, path)
        damage(path)
        run = tmp_path / f"run of {name}"
        code, output, errors = call_program("import", path, "--output", run)
        assert (code, output) == (1, "") and "Traceback" not in errors and name in errors, (name, errors)
        assert not run.exists()
    assert not trap.exists()


@pytest.mark.parametrize("tie", ["all", "decoder"])
def test_a_matrix_may_have_any_of_its_names_and_special_tokens_may_be_objects(
    bundle: Bundle, with_model: Make, tmp_path: Path, tie: str
) -> None:
    bundle = with_model(bundle, tie_embeddings=tie)
    path = export_huggingface(bundle, tmp_path / "model")
    tensors = load_file(path / "model.safetensors")
    kept = "model.shared.weight" if tie == "all" else "model.decoder.embed_tokens.weight"
    tensors["lm_head.weight"] = tensors.pop(kept)
    save_file(tensors, path / "model.safetensors")
    stated = json.loads((path / "tokenizer_config.json").read_text())
    tokens = {"eos_token": {"__type": "AddedToken", "content": stated["eos_token"]}, "unk_token": None}
    (path / "tokenizer_config.json").write_text(json.dumps(stated | tokens))
    model = read_foreign(path, Languages())
    assert model.tokenizers.files() == bundle.tokenizers.files()
    expected = model_tensors(bundle.model)
    assert model.settings.tie_embeddings == tie and expected.keys() == model.weights.keys()
    assert all(torch.equal(expected[name], model.weights[name]) for name in expected)


def test_the_search_of_the_model_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    decoding = bundle.config.decoding.model_copy(update={"beam_size": 3, "block_ngrams": 4})
    config = bundle.config.model_copy(update={"decoding": decoding})
    path = export_huggingface(dataclasses.replace(bundle, config=config), tmp_path / "model")
    found = read_foreign(path, Languages()).decoding
    assert (found["beam_size"], found["block_ngrams"]) == (3, 4)


def test_a_search_that_we_do_not_have_does_not_stop_the_import(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = export_huggingface(bundle, tmp_path / "model")
    (path / "generation_config.json").write_text(json.dumps({"num_beams": 3, "length_penalty": -1.0}))
    config = write_imported(read_foreign(path, Languages()), tmp_path / "run")
    assert (config.decoding.beam_size, config.decoding.length_alpha) == (3, DecodingSettings().length_alpha)
    assert "decoding.length_alpha is left at its default, because the model's is -1.0" in capsys.readouterr().err


def test_the_file_of_the_weights_stands_for_its_directory(bundle: Bundle, tmp_path: Path) -> None:
    path = export_huggingface(bundle, tmp_path / "model")
    assert read_foreign(path / "model.safetensors", Languages()).origin == str(path)


def test_files_that_only_marian_needs_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = export_huggingface(bundle, tmp_path / "model")
    for files in ({"vocabularies": [path / "vocab.json"]}, {"tokenizers": [path / "source.spm"]}):
        with pytest.raises(TranslatorError, match="they are for models of Marian"):
            read_foreign(path, Languages(), **files)


def change(path: Path, **values: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | values))


def test_a_name_on_the_hub_is_downloaded_only_if_asked_for(
    bundle: Bundle, with_model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, asked = export_huggingface(with_model(bundle), tmp_path / "whole"), []

    def stand_in(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, "model.safetensors" in allow_patterns))
        return str(whole)

    monkeypatch.setattr("huggingface_hub.snapshot_download", stand_in)
    model = read_foreign("hub:somebody/model-en-de", Languages())
    assert model.settings.d_model == 16 and asked == [("somebody/model-en-de", True)]

    def offline(name: str, allow_patterns: list[str]) -> str:
        raise OSError("no connection")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError, match="cannot load hub:x/y: no connection. Check the name"):
        read_foreign("hub:x/y", Languages())
    with pytest.raises(TranslatorError, match="whose files run code"):
        read_foreign(_touch(tmp_path / "model.pt"), Languages())


def _touch(path: Path) -> Path:
    path.touch()
    return path


def test_an_import_is_trained_further_and_exported_with_equal_logits(
    tmp_path: Path, call_program: Callable[..., tuple[int, str, str]]
) -> None:
    path = opus_directory(tmp_path / "opus")
    import transformers

    def program(*words: object) -> None:
        code, _, errors = call_program(*words)
        assert code == 0, errors

    for language in ("en", "de"):
        (tmp_path / f"own.{language}").write_text("\n".join([*LINES, *(f"{line} {line}" for line in LINES)]) + "\n")
    program("import", path, "--output", tmp_path / "run", "--languages", "en-de")
    words = ["data.held_out=2", "data.max_length=63", "training.max_steps=3", "training.batch_tokens=100"]
    program("train", f"start_from={tmp_path / 'run'}", f"run={tmp_path / 'tuned'}",
            f"data.train={tmp_path / 'own'}.{{en,de}}", *words)  # fmt: skip
    program("export", tmp_path / "tuned", "--to", "huggingface", "--output", tmp_path / "again")
    before, after = (load_bundle(tmp_path / name) for name in ("run", "tuned"))
    assert not torch.equal(before.model.output_weight, after.model.output_weight)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "again").eval()
    target = after.tokenizers.target
    for text in LINES:
        ids, translation = tokenizer(text).input_ids, tokenizer(text_target="ein Hund").input_ids[:-1]
        assert after.tokenizers.source.encode([text])[0] == ids[:-1]
        inputs = torch.tensor([[model.config.decoder_start_token_id, *translation]])
        with torch.inference_mode():
            expected = model(input_ids=torch.tensor([ids]), decoder_input_ids=inputs).logits[0]
            found = after.model.logits(after.model(pack([ids]), pack([[target.bos_id, *translation]])))
        torch.testing.assert_close(found, expected[:, : target.vocab_size], atol=1e-4, rtol=1e-4)
