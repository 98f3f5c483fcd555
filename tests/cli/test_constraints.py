"""Constraints of single lines and glossaries, through `translator translate` and from Python."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translator.checkpoints import load_bundle
from translator.errors import ConfigError
from translator.translation import ConstrainedLine, Glossary, Translator
from translator.translation.unfinished import find_texts

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

TERMS = {"dog": "Dachs", "red house": "Rotes Haus", "house": "Hütte", "New York": "New York", "cat": "ß-Katze 🐈"}
SENTENCES = ["a dog runs", "the red house", "a house and a Dog", "", "two men", "the cat in new york", "a New York cat"]


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator(load_bundle(tiny_run, device="cpu", threads=1))


def json_lines(*lines: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()


def glossary_file(directory: Path, terms: dict[str, str]) -> Path:
    file = directory / "terms.tsv"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in terms.items()))
    return file


@pytest.mark.parametrize("engine", ["auto", "native"])
def test_every_line_has_its_own_constraints(tiny_run: Path, call_program: Program, engine: str) -> None:
    plain = {"text": "a dog runs in the house"}
    lines = json_lines(
        plain, {**plain, "prefix": "Ein Hund"}, {**plain, "required": ["Garten", "blau"]}, {"text": " "}, plain
    )
    code, output, errors = call_program(
        "translate", tiny_run, "--input-format", "jsonl", "--engine", engine, input=lines + b"\n"
    )
    assert code == 0, errors
    found = output.split("\n")
    assert len(found) == 7
    usual = call_program("translate", tiny_run, "--engine", engine, input=plain["text"].encode())[1].rstrip("\n")
    assert found[0] == found[4] == usual
    assert found[1].startswith("Ein Hund")
    assert "Garten" in found[2] and "blau" in found[2]
    assert found[3:4] + found[5:] == [" ", "", ""]
    if engine == "auto":
        assert "engine: native instead of the faster CTranslate2 for lines with such constraints (required" in errors


def test_what_is_banned_for_a_line_is_banned_there_only(tiny_run: Path, call_program: Program) -> None:
    (usual,) = call_program("translate", tiny_run, input=b"the cat")[1].splitlines()
    word = usual.split()[0]
    lines = json_lines({"text": "the cat", "banned": [word]}, {"text": "the cat"})
    code, output, errors = call_program("translate", tiny_run, "--input-format", "jsonl", input=lines)
    assert code == 0, errors
    banned, free = output.splitlines()
    assert free == usual
    assert not any(own.startswith(word) for own in banned.split())


def test_constraints_of_lines_add_to_those_of_the_call(tiny_run: Path, call_program: Program) -> None:
    options = ["--input-format", "jsonl", "--set", "prefix=Der", "--set", "required=[blau]"]
    lines = json_lines({"text": "a dog"}, {"text": "a dog", "prefix": "", "required": ["Haus"]})
    code, output, errors = call_program("translate", tiny_run, *options, input=lines)
    assert code == 0, errors
    first, second = output.splitlines()
    assert first.startswith("Der") and "blau" in first
    assert not second.startswith("Der") and "blau" in second and "Haus" in second


@pytest.mark.parametrize(
    ("line", "options", "messages"),
    [
        ({"text": "a", "requird": ["b"]}, [], ["line 2, requird: there is no such field"]),
        ({"text": "a", "to": "nl"}, [], ["stdin, line 2:", "to: found 'nl', but"]),
        (
            {"text": "a", "required": ["b"]},
            ["--set", "beam_size=1"],
            ["stdin, line 2:", "required: decoding.beam_size = 1"],
        ),
        ({"text": "a", "required": ["  "]}, [], ["stdin, line 2:", "required: found a phrase without text"]),
        ({"text": "a", "banned": [""]}, [], ["stdin, line 2:", "banned: found a phrase without text"]),
        (
            {"text": "a", "required": ["b c"], "banned": ["b"]},
            [],
            ["stdin, line 2:", "every translation with 'b c' holds"],
        ),
        (
            {"text": "a", "required": ["b"]},
            ["--engine", "ctranslate2"],
            ["stdin, line 2:", "required: the ctranslate2 engine cannot do this"],
        ),
        (
            {"text": "a", "banned": ["b"]},
            ["--set", "quantize=int8"],
            ["stdin, line 2:", "decoding.quantize: int8 is done by CTranslate2 on the CPU, but"],
        ),
    ],
)
def test_mistakes_name_line_and_field(
    tiny_run: Path, call_program: Program, line: dict[str, Any], options: list[str], messages: list[str]
) -> None:
    lines = json_lines({"text": "a dog"}, line)
    code, output, errors = call_program("translate", tiny_run, "--input-format", "jsonl", *options, input=lines)
    assert (code, output) == (1, "")
    assert all(message in errors for message in messages), errors


@pytest.mark.parametrize("batch_tokens", [1, 8192])
def test_every_term_of_a_glossary_is_in_the_translation(
    tiny_run: Path, tmp_path: Path, call_program: Program, batch_tokens: int
) -> None:
    options = ["--glossary", glossary_file(tmp_path, TERMS), "--set", "max_length_extra=30", "--format", "jsonl"]
    options += ["--set", f"batch_tokens={batch_tokens}", "--set", "alignment=1.1"]
    text = "".join(f"{line}\n" for line in SENTENCES).encode()
    code, output, errors = call_program("translate", tiny_run, *options, input=text)
    assert code == 0, errors
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["source"] for line in lines] == SENTENCES
    expected = [["Dachs"], ["Rotes Haus"], ["Hütte", "Dachs"], [], [], ["ß-Katze 🐈"], ["New York", "ß-Katze 🐈"]]
    for line, terms in zip(lines, expected, strict=True):
        assert all(term in line["hypotheses"][0]["text"] for term in terms)
    # Lines without a term are translated as ever, by the faster engine.
    assert [line["engine"] == "native" for line in lines] == [bool(terms) for terms in expected]


@given(
    words=st.lists(st.lists(st.sampled_from([*TERMS, "a", "the", "runs"]), max_size=4).map(" ".join), max_size=4),
    beam_size=st.integers(2, 4),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_terms_of_any_text_are_in_its_translation(translator: Translator, words: list[str], beam_size: int) -> None:
    glossary = Glossary(TERMS)
    found = list(translator.translate(words, glossary=glossary, beam_size=beam_size, max_length_extra=80))
    for text, translation in zip(words, found, strict=True):
        assert all(term.target in translation for term in glossary.find(text))


def test_long_lines_have_the_terms_in_the_parts_that_hold_them(translator: Translator) -> None:
    text = "a man reads in the garden. " * 6 + "the dog sleeps in the house."
    options: dict[str, Any] = {"max_length_extra": 40, "glossary": TERMS}
    (translation,) = translator.translate([text], **options)
    assert translation.index("Dachs") > 0 and translation.index("Hütte") > 0
    (detail,) = translator.translate_in_detail([text], alignment="1.1", **options)
    assert any("translated in parts" in warning for warning in detail.warnings)


def test_a_term_that_is_cut_in_two_is_not_lost(translator: Translator) -> None:
    text = "red house " * 60
    glossary = {"house red house red": "Dorf"}
    (detail,) = translator.translate_in_detail([text], alignment="1.1", glossary=glossary, max_length_extra=40)
    assert detail.warnings and "Dorf" in detail.text
    # No part is longer than a few words, so that no part holds the term.
    glossary = {"house " + "red house " * 30 + "red": "Stadt"}
    assert "Stadt" in next(translator.translate([text], glossary=glossary, max_length_extra=40))


def test_terms_that_do_not_fit_are_reported(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    terms = glossary_file(tmp_path, {"dog": "Donaudampfschifffahrt", "cat": "Katze"})
    options = ["--set", "max_length_factor=0", "--set", "max_length_extra=8"]
    plain = call_program("translate", tiny_run, "--engine", "native", *options, input=b"a dog\n")[1]
    code, output, errors = call_program("translate", tiny_run, "--glossary", terms, *options, input=b"\na dog\n\na dog")
    assert (code, output) == (0, f"\n{plain}\n{plain}"), errors
    assert "lines 2, 4 are translated without the glossary's 'dog' -> 'Donaudampfschifffahrt'" in errors
    assert "Katze" not in errors


def test_terms_that_the_vocabulary_cannot_write_are_named(
    translator: Translator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = translator.bundle.tokenizers.target
    honest = tokenizer.encode

    def without_emoji(texts: list[str]) -> list[list[int]]:
        return [[tokenizer.unk_id] if "🐈" in text else own for text, own in zip(texts, honest(texts), strict=True)]

    monkeypatch.setattr(tokenizer, "encode", without_emoji)
    assert len(list(translator.translate(["a cat"], glossary=TERMS))) == 1
    message = "the glossary: the vocabulary cannot write 1 of 5 terms, which are left out: 'cat' -> 'ß-Katze 🐈'"
    assert message in capsys.readouterr().err
    with pytest.raises(ConfigError, match="required: '🐈' has a character that the vocabulary cannot write"):
        list(translator.translate([ConstrainedLine("a", required=["🐈"])]))


def test_a_glossary_needs_a_beam(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    file = glossary_file(tmp_path, TERMS)
    code, output, errors = call_program("translate", tiny_run, "--glossary", file, "--set", "beam_size=1", input=b"a\n")
    assert (code, output) == (1, "")
    assert "glossary: decoding.beam_size = 1 cannot place required phrases" in errors


def test_a_glossary_is_not_written_over(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    file = glossary_file(tmp_path, TERMS)
    code, _, errors = call_program("translate", tiny_run, "--glossary", file, "--output", file, input=b"a\n")
    assert code == 1 and str(file) in errors
    assert file.read_text().startswith("dog\tDachs")


def test_python_has_the_same_arguments(translator: Translator, tmp_path: Path) -> None:
    lines = ["a dog", ConstrainedLine("a dog", prefix="Ein", required=["Haus"])]
    first = list(translator.translate(lines, glossary=glossary_file(tmp_path, TERMS), max_length_extra=30))
    second = [line.text for line in translator.translate_in_detail(lines, glossary=TERMS, max_length_extra=30)]
    assert first == second
    assert "Dachs" in first[0] and first[1].startswith("Ein") and "Haus" in first[1] and "Dachs" in first[1]


def test_an_interrupted_output_belongs_to_its_lines_and_glossary(
    tiny_run: Path, tmp_path: Path, call_program: Program
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    source, output, file = tmp_path / "in.jsonl", tmp_path / "out", glossary_file(tmp_path, TERMS)
    good = [{"text": "a dog", "required": ["Haus"]}] * 64 + [{"text": "the cat"}]
    source.write_bytes(json_lines(*good[:64]) + b"the cat\n")
    command = ["translate", run, source, "--input-format", "jsonl", "--output", output]
    command += ["--set", "max_length_extra=30"]
    code, _, errors = call_program(*command, "--glossary", file)
    assert code == 1 and f"{source}, line 65: not JSON" in errors
    assert "64 lines of" in errors and len(find_texts(output)) == 1
    # Neither another glossary, nor other constraints of the lines that are done.
    assert "glossary" in call_program(*command)[2]
    source.write_bytes(json_lines({"text": "a dog"}, *good[1:]))
    assert "the first 64 lines of the input are not those" in call_program(*command, "--glossary", file)[2]
    source.write_bytes(json_lines(*good))
    code, _, errors = call_program(*command, "--glossary", file)
    assert code == 0 and "after line 64" in errors
    resumed = output.read_text()
    assert call_program(*command, "--glossary", file)[0] == 0
    assert output.read_text() == resumed
    assert resumed.count("\n") == 65


def test_several_processes_share_lines_with_constraints(tiny_run: Path, tmp_path: Path, run_command: Command) -> None:
    lines = json_lines(*[{"text": text, "required": ["Haus"]} if index % 2 else {"text": text}
                         for index, text in enumerate(SENTENCES)])  # fmt: skip
    options = ["--input-format", "jsonl", "--glossary", glossary_file(tmp_path, TERMS), "--set", "max_length_extra=40"]
    options += ["--set", "device=cpu"]
    one = run_command("translate", tiny_run, *options, "--engine", "native", input=lines)
    two = run_command("translate", tiny_run, *options, "--set", "devices=2", input=lines)
    assert two.returncode == 0, two.stderr.decode()
    assert one.stdout == two.stdout
    assert one.stdout.count(b"\n") == len(SENTENCES)
