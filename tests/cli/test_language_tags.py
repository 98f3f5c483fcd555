"""A model with several target languages, through the real commands: training, translating, scoring."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.checkpoints import Bundle, load_bundle
from translator.errors import ConfigError
from translator.evaluation import evaluate
from translator.serving.metrics import Metrics
from translator.serving.options import ServerOptions
from translator.serving.served_model import ServedModel
from translator.text import open_corpus
from translator.translation import ConstrainedLine, Translator

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

# Every source sentence has a translation in both languages, so that the tag alone decides.
SENTENCES = {
    "en": ["a dog", "the cat", "one house", "my tree"],
    "de": ["ein Hund", "die Katze", "ein Haus", "mein Baum"],
    "nl": ["een hond", "de kat", "een huis", "mijn boom"],
}
# Greedy: a beam search that stops at five endings can miss the one translation that such a small model is sure of.
SETTINGS = """
preset: tiny
decoding: {{beam_size: 1}}
data:
  language_tags: true
  max_length: 40
  drop_leaks: false
  drop_duplicates: false
  train:
  - path: "{corpus}.{{en,de}}"
  - path: "{corpus}.{{en,nl}}"
    weight: null
  valid:
  - path: "{corpus}.{{en,de}}"
  - path: "{corpus}.{{en,nl}}"
tokenizer: {{vocab_size: 310}}
model: {{encoder_layers: 1, decoder_layers: 1, d_model: 32, d_ff: 64, num_heads: 2, dropout: 0.0}}
training:
  {{max_steps: 200, batch_tokens: 300, warmup_steps: 10, learning_rate: 0.01, label_smoothing: 0.0, validate_every: 100,
    average_last: 1}}
"""


@pytest.fixture(scope="module")
def tagged_run(tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    directory = tmp_path_factory.mktemp("tagged")
    for language, sentences in SENTENCES.items():
        (directory / f"corpus.{language}").write_text("\n".join(sentences * 4))
    file = directory / "many.yaml"
    file.write_text(SETTINGS.format(corpus=directory / "corpus") + f"run: {directory / 'run'}\n")
    finished = run_command("train", file)
    assert finished.returncode == 0, finished.stderr.decode()
    return directory / "run"


@pytest.fixture(scope="module")
def bundle(tagged_run: Path) -> Bundle:
    return load_bundle(tagged_run, device="cpu", threads=1)


def test_the_tag_decides_the_language(tagged_run: Path, call_program: Program) -> None:
    text = "".join(f"{line}\n" for line in [*SENTENCES["en"], ""]).encode()
    for language in ("de", "nl"):
        code, output, errors = call_program("translate", tagged_run, "--to", language, input=text)
        assert code == 0, errors
        assert output.split("\n") == [*SENTENCES[language], "", ""]


def test_python_has_the_same_door(bundle: Bundle) -> None:
    translator = Translator(bundle)
    assert list(translator.translate(SENTENCES["en"], to="nl")) == SENTENCES["nl"]
    result = evaluate(translator, SENTENCES["en"], SENTENCES["de"], translator.settings, to="de")
    assert (result.hypotheses, result.to) == (SENTENCES["de"], "de")
    # At once, not when the first line is asked for.
    with pytest.raises(ConfigError, match=r"choose one of de, nl \(--to LANGUAGE\)"):
        translator.translate(["a dog"])


def test_every_line_may_choose_its_language(tagged_run: Path, call_program: Program, bundle: Bundle) -> None:
    lines = [
        json.dumps({"text": text, "to": language})
        for text, *_ in zip(SENTENCES["en"], range(3), strict=False)
        for language in ("nl", "de")
    ]
    expected = [SENTENCES[language][index] for index in range(3) for language in ("nl", "de")]
    options = ["--input-format", "jsonl", "--format", "jsonl", "--set", "alignment=1.1"]
    code, output, errors = call_program("translate", tagged_run, *options, input="\n".join(lines).encode())
    assert code == 0, errors
    assert [json.loads(line)["hypotheses"][0]["text"] for line in output.splitlines()] == expected
    wanted = [ConstrainedLine("a dog", to="nl"), ConstrainedLine("the cat")]
    assert list(Translator(bundle).translate(wanted, to="de")) == ["een hond", "die Katze"]
    code, _, errors = call_program("translate", tagged_run, *options, input=f'{lines[0]}\n{{"text": "a dog"}}'.encode())
    assert code == 1
    assert "stdin, line 2:" in errors and "choose one of de, nl (--to LANGUAGE)" in errors


def test_a_glossary_is_for_one_language(tagged_run: Path, call_program: Program, bundle: Bundle) -> None:
    wanted = [ConstrainedLine("a dog", to="nl"), ConstrainedLine("a dog")]
    found = list(Translator(bundle).translate(wanted, to="de", glossary={"dog": "Baum"}, beam_size=2))
    assert "Baum" not in found[0] and "Baum" in found[1]
    with pytest.raises(ConfigError, match="to: a glossary is for one language; name it"):
        Translator(bundle).translate(wanted, glossary={"dog": "Baum"}, beam_size=2)


def test_what_looks_like_a_tag_is_text(tagged_run: Path, call_program: Program, bundle: Bundle) -> None:
    plain = call_program("translate", tagged_run, "--to", "de", input=b"a dog\n")[1]
    assert call_program("translate", tagged_run, "--to", "de", input=b"<2nl> a dog\n")[0] == 0
    tokenizer = bundle.tokenizers.source
    assert not set(tokenizer.encode(["<2nl> a dog"])[0]) & set(tokenizer.tags.values())
    assert plain == "ein Hund\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "to: RUN translates into several languages; choose one of de, nl (--to LANGUAGE)"),
        (["--to", "fr"], "to: RUN does not translate into 'fr'; choose one of de, nl"),
    ],
)
@pytest.mark.parametrize("command", ["translate", "evaluate"])
def test_a_language_that_is_missing_or_unknown(
    tagged_run: Path, tmp_path: Path, call_program: Program, command: str, options: list[str], expected: str
) -> None:
    (tmp_path / "text").write_text("a dog\n")
    files = ["--source", tmp_path / "text", "--reference", tmp_path / "text"] if command == "evaluate" else []
    code, output, errors = call_program(command, tagged_run, *files, *options, input=b"a dog\n")
    assert (code, output) == (1, "")
    assert expected.replace("RUN", str(tagged_run)) in errors


def test_a_model_of_one_language_takes_no_choice(tiny_run: Path, call_program: Program) -> None:
    code, output, errors = call_program("translate", tiny_run, "--to", "de", input=b"a dog\n")
    assert (code, output) == (1, "")
    assert f"to: found 'de', but {tiny_run} has one target language only; leave it out" in errors


def test_scores_name_the_language(tagged_run: Path, tmp_path: Path, call_program: Program) -> None:
    for language in ("en", "nl"):
        (tmp_path / language).write_text("".join(f"{line}\n" for line in SENTENCES[language]))
    options = ["--source", tmp_path / "en", "--reference", tmp_path / "nl"]
    code, output, errors = call_program("evaluate", tagged_run, *options, "--to", "nl")
    assert code == 0, errors
    assert "chrF2 = 100.0" in output
    (entry,) = json.loads((tagged_run / "scores.json").read_text())
    assert (entry["to"], entry["sentences"]) == ("nl", 4)
    code, _, errors = call_program("evaluate", tagged_run, "--test-set", "wmt14", "--to", "nl")
    assert code == 2 and "--language-pair" in errors


def test_a_server_serves_all_of_the_languages_of_a_run_whose_direction_is_stated(tagged_run: Path) -> None:
    def served(run: str) -> tuple[str, list[str]]:
        model = ServedModel(run, ServerOptions(()), Metrics())
        model.batcher.stop()
        return model.source, model.targets

    assert served(f"en-nl={tagged_run}") == ("en", ["de", "nl"])
    with pytest.raises(ConfigError, match="translates into de, nl, and not into fr"):
        served(f"en-fr={tagged_run}")


def test_a_server_calls_the_languages_of_a_run_as_it_is_told(tiny_run: Path) -> None:
    model = ServedModel(f"fr-it={tiny_run}", ServerOptions(()), Metrics())
    model.batcher.stop()
    assert (model.source, model.targets) == ("fr", ["it"])


@pytest.mark.parametrize("sides", ["en,de", "de,en"])
def test_a_parallel_corpus_is_translated_into_the_language_that_is_asked_for(
    tagged_run: Path, tmp_path: Path, call_program: Program, sides: str
) -> None:
    corpus = f"{tagged_run.parent}/corpus.{{{sides}}}"
    output = tmp_path / "made"
    code, _, errors = call_program("synthesize", tagged_run, "--input", corpus, "--to", "de", "--output", output)
    assert code == 0, errors
    pairs = dict(zip(SENTENCES["en"], SENTENCES["de"], strict=True))
    made = [(pair[0], pair[1]) for pair in open_corpus(str(output)).pairs()]
    assert len(made) == 16 and all(pairs[source] == target for source, target in made)
    code, _, errors = call_program("synthesize", tagged_run, "--input", corpus, "--to", "nl", "--output", output)
    assert code == 1 and "expected nl as one of them" in errors
