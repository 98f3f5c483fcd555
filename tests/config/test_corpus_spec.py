"""Lists of corpora in the settings: how they are written, and which contradict each other."""

from pathlib import Path

import pytest

from translator.config import (
    Config,
    CorpusEntry,
    complete_config,
    entries_of,
    load_config,
    named_languages,
    read_run_config,
    run_directory,
    write_config,
)
from translator.config.manual import describe_settings
from translator.config.run_config import changed_settings
from translator.errors import ConfigError

ENTRIES = [CorpusEntry(path="a.{en,de}", weight=2.0), CorpusEntry(path=["b.de", "b.en"], weight=0.5)]


def problems_of(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    return caught.value.problems


def test_a_list_of_entries_in_a_file_and_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        "data:\n  train:\n  - path: a.{en,de}\n    weight: 2\n  - path: [b.de, b.en]\n    weight: 0.5\n"
        "    source_language: null\n"
    )
    assert load_config(file).data.train == ENTRIES
    word = 'data.train=[{path: "a.{en,de}", weight: 2}, {path: [b.de, b.en], weight: 0.5}]'
    assert load_config(None, [word]).data.train == ENTRIES
    assert load_config(file, ["data.train=c.tsv"]).data.train == "c.tsv"


def test_entries_are_written_and_read_back_unchanged(tmp_path: Path) -> None:
    config = load_config(None, ["preset=tiny", "run=x", 'data.train=[{path: "a.{en,de}"}, {path: b.tsv}]'])
    write_config(config, tmp_path / "config.yaml")
    again = read_run_config(tmp_path)
    assert (again, changed_settings(config, again)) == (config, {})
    assert complete_config(again) == config


def test_one_corpus_is_one_entry() -> None:
    assert entries_of(None) == []
    assert entries_of("a.tsv") == [CorpusEntry(path="a.tsv")]
    assert entries_of(["a.en", "a.de"]) == [CorpusEntry(path=["a.en", "a.de"])]
    assert entries_of(ENTRIES) == ENTRIES


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x/train.{en,de}.gz", ("en", "de")),
        ("{pt-BR,zh_Hans}/all.txt", ("pt-BR", "zh_Hans")),
        (["x/a.tok.en", "y/a.de.gz"], ("en", "de")),
        (["a.txt", "b.txt"], None),
        (["a.en", "b.en"], None),
        ("a.tsv", None),
        ("hub:name", None),
    ],
)
def test_languages_that_a_path_names(path: str | list[str], expected: tuple[str, str] | None) -> None:
    assert named_languages(path) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ('{path: "a.{en,de}"}, {path: "b.{en,de}"}', "runs/en-de"),
        ('{path: "a.{en,de}"}, {path: "a.{de,en}"}', "runs/default"),
        ("{path: a.tsv, source_language: en, target_language: fr}", "runs/en-fr"),
    ],
)
def test_the_run_is_named_by_the_languages_that_all_share(entries: str, expected: str) -> None:
    assert run_directory(load_config(None, [f"data.train=[{entries}]"])) == Path(expected)


def test_all_mistakes_in_entries_are_said_at_once() -> None:
    word = "data.train=[{path: a, wieght: 2}, {path: {a: 3}}, b, {weight: -1, path: [x]}, {weight: x}]"
    expected = "expected a corpus, a list of two files, or a list of entries such as {path: CORPUS, weight: 2}"
    found = problems_of(word, "data.test=[a]", "data.valid=[{path: a.{en", "data.temperature=0.5")
    assert found == [
        "`data.valid=[{path: a.{en` is not a valid YAML list; put quotes around paths with braces or commas, as in "
        '\'data.train=[{path: "a.{en,de}"}, {path: "b.{en,de}"}]\'',
        "data.train, entry 1, wieght: there is no such setting; did you mean weight?",
        f"data.train, entry 2, path: {expected}; found {{'a': '3'}}",
        f"data.train, entry 3: {expected}; found 'b'",
        f"data.train, entry 4, path: {expected}; found ['x']",
        "data.train, entry 4, weight: input should be greater than 0; found '-1'",
        f"data.train, entry 5, path: {expected}; found {{'weight': 'x'}}",
        "data.train, entry 5, weight: expected a number; found 'x'",
        f"data.test: {expected}; found ['a']",
        "data.temperature: input should be greater than or equal to 1; found '0.5'",
    ]


@pytest.mark.parametrize("preset", ["auto", "tiny"])
def test_settings_of_corpora_that_cannot_stand_together(preset: str) -> None:
    found = problems_of(
        f"preset={preset}",
        "data.train=[{path: a, weight: 2}, {path: b}]",
        "data.valid=[{path: c, weight: 1}, {path: d, source_language: en}]",
        "data.temperature=5",
    )
    assert found == [
        "data.train: entry 2 has no weight while another has one; give one to all or to none",
        "data.temperature: 5 has no effect together with weights; keep one of the two",
        "data.valid, entry 1, weight: only training corpora have one; leave it out",
        "data.valid, entry 2: target_language is not set while the other language is; set both or neither",
    ]


def test_settings_made_in_python_are_checked_too() -> None:
    config = Config.model_validate({"data": {"train": ENTRIES, "temperature": 2.0}})
    with pytest.raises(ConfigError, match="has no effect together with weights"):
        complete_config(config)


def test_the_manual_explains_entries() -> None:
    manual = describe_settings()
    assert "data.train: text|[text]|[entry]|null = null" in manual
    assert "data.train[].path: text|[text] = (needed)" in manual
    assert "data.train[].weight: float|null = null" in manual
