"""Opening parallel corpora of every kind, and the message for every mistake."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from translator.errors import DataError
from translator.text import open_corpus
from translator.text.line_shift import first_shifted_line

PAIRS = [("a dog", "ein Hund"), ("", "leer"), ('say "no",\tthen', "x\u2028y"), ("last", "")]
NONE = (None, None)
EN_DE = ("en", "de")
GOOD = '{"source": "x", "target": "y"}\n'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_pair(path: Path, pairs: list[tuple[str, str]], ending: str = "") -> None:
    for side, language in enumerate(("en", "de")):
        write(path.with_name(f"{path.name}.{language}{ending}"), "".join(pair[side] + "\n" for pair in pairs))


def records(nested: bool) -> list[dict[str, Any]]:
    rows = [{"de": target, "en": source} for source, target in PAIRS]
    return [{"id": "7", "translation": row} for row in rows] if nested else rows


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_two_files_by_a_pattern_or_by_name(tmp_path: Path, ending: str) -> None:
    write_pair(tmp_path / "train", PAIRS, ending)
    pattern = open_corpus(f"{tmp_path}/train.{{en,de}}{ending}")
    listed = open_corpus([f"{tmp_path}/train.en{ending}", f"{tmp_path}/train.de{ending}"])
    for corpus in (pattern, listed):
        assert list(corpus.pairs()) == PAIRS == list(corpus.pairs()), "it can be read again"
        assert corpus.languages == EN_DE
    backwards = open_corpus(f"{tmp_path}/train.{{en,de}}{ending}", "de", "en")
    assert list(backwards.pairs()) == [pair[::-1] for pair in PAIRS]


def test_a_pattern_may_contain_the_languages_anywhere(tmp_path: Path) -> None:
    write(tmp_path / "en" / "a.txt", "one\n")
    write(tmp_path / "de" / "a.txt", "eins")
    corpus = open_corpus(f"{tmp_path}/{{en,de}}/a.txt")
    assert (list(corpus.pairs()), corpus.languages) == ([("one", "eins")], EN_DE)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("kind", "text", "languages"),
    [
        ("tsv", "a dog\tein Hund\n\tleer\nsay \"no\", then\tx\u2028y\nlast\t\n", (None, None)),
        ("tsv", "n\tde\ten\n\tein Hund\ta dog\n\tleer\t\n\tx\u2028y\tsay \"no\", then\n\t\tlast\n", EN_DE),
        ("csv", 'source,target\na dog,ein Hund\n,leer\n"say ""no"", then",x\u2028y\nlast,\n', (None, None)),
        ("csv", 'de,en\r\nein Hund,a dog\r\nleer,\r\nx\u2028y,"say ""no"", then"\r\n,last\r\n', EN_DE),
    ],
)  # fmt: skip
def test_tables(tmp_path: Path, ending: str, kind: str, text: str, languages: Any) -> None:
    file = write(tmp_path / f"table.{kind}{ending}", text)
    expected = [(source.replace(",\t", ", "), target) for source, target in PAIRS]
    assert list(open_corpus(str(file), *languages).pairs()) == expected


def test_a_line_feed_inside_a_field_becomes_a_space(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'source,target\n"two\nlines",zwei\n')
    assert list(open_corpus(str(file)).pairs()) == [("two lines", "zwei")]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_json_lines(tmp_path: Path, nested: bool, ending: str) -> None:
    text = "\n".join(json.dumps(record) for record in records(nested))
    file = write(tmp_path / f"a.jsonl{ending}", text)
    assert list(open_corpus(str(file), "en", "de").pairs()) == PAIRS


@pytest.mark.parametrize("nested", [False, True])
def test_parquet(tmp_path: Path, nested: bool) -> None:
    parquet.write_table(pa.Table.from_pylist(records(nested)), tmp_path / "a.parquet", row_group_size=2)
    assert list(open_corpus(str(tmp_path / "a.parquet"), "en", "de").pairs()) == PAIRS


def test_nulls_are_blank(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"source": null, "target": "x"}\n')
    assert list(open_corpus(str(tmp_path / "a.jsonl")).pairs()) == [("", "x")]


def test_a_set_of_the_hub_from_a_local_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for split in ("train", "validation"):
        rows = [json.dumps({**record, "en": f"{split} {record['en']}"}) for record in records(False)]
        write(tmp_path / "set" / f"{split}.jsonl", "\n".join(rows))
    train = open_corpus(f"hub:{tmp_path}/set", "en", "de")
    valid = open_corpus(f"hub:{tmp_path}/set:validation", "en", "de")
    assert list(train.pairs()) == [(f"train {source}", target) for source, target in PAIRS]
    assert list(valid.pairs())[0] == ("validation a dog", "ein Hund")
    assert train.fingerprint() == open_corpus(f"hub:{tmp_path}/set:train", "en", "de").fingerprint()
    assert train.fingerprint() != valid.fingerprint()
    with pytest.raises(DataError, match=r"cannot load hub:.*set:nosuch \(split nosuch\): .* Check the name"):
        open_corpus(f"hub:{tmp_path}/set:nosuch", "en", "de")


def test_unequal_counts_name_both_and_the_line(tmp_path: Path) -> None:
    long = [f"{'word ' * (1 + number * 7 % 13)}{number}" for number in range(200)]
    write_pair(tmp_path / "train", [(line, line.replace("word", "Wort")) for line in long])
    target = tmp_path / "train.de"
    lines = target.read_text().split("\n")
    target.write_text("\n".join(lines[:120] + ["ein Satz zu viel, der sehr lang ist und stört"] + lines[120:]))
    with pytest.raises(DataError) as caught:
        list(open_corpus(f"{tmp_path}/train.{{en,de}}").pairs())
    message = str(caught.value)
    assert f"{tmp_path}/train.en has 200 lines but {tmp_path}/train.de has 201" in message
    assert "line 121 is the first that looks shifted" in message


def test_the_first_shifted_line_is_only_named_if_it_is_clear() -> None:
    random = [("x" * (number * 37 % 41), "y" * (number * 23 % 43)) for number in range(60)]
    assert first_shifted_line((s for s, _ in random), [*(t for _, t in random), "z"]) is None
    assert first_shifted_line(["a"], ["a", "b"]) is None
    same = ["x" * (number * 37 % 41) for number in range(60)]
    assert first_shifted_line(same, [*same, "at the end"]) == 61
    assert first_shifted_line(["at the start", *same], same) in (1, 2)


@pytest.mark.parametrize(
    ("name", "text", "languages", "message"),
    [
        ("a.txt", "x", NONE, r"cannot tell what kind of corpus .*a.txt is; expected a pattern"),
        ("a.parquet.gz", "x", NONE, r"cannot tell what kind of corpus"),
        ("a.parquet", "x", NONE, r"a.parquet: not a readable Parquet file"),
        ("a.tsv", "en\tfr\nx\ty\n", EN_DE, r"line 1: the header line has no column `de`; found `en`, `fr`"),
        ("a.tsv", "x\ty\nz\n", NONE, r"a.tsv, line 2: found 1 column, expected 2, as in line 1"),
        ("a.csv", 'x,y\nz,"open\n', NONE, r"a.csv, line 2: not valid CSV"),
        ("a.jsonl", '{"en": "x", "fr": "y"}\n', EN_DE, r"line 1: there is no column `de`; found `en`, `fr`"),
        ("a.jsonl", '{"a": "x", "b": "y", "c": "z"}\n', NONE, r"cannot tell source from target .*`b`, `c`"),
        ("a.jsonl", GOOD + '{"source": "x"}\n', NONE, r"line 2: there is no field `target`"),
        ("a.jsonl", '{"source": "x", "target": 3}\n', NONE, r"line 1: `target` is int, expected text"),
        ("a.jsonl", GOOD + '[1]\n', NONE, r"line 2: found list, expected an object"),
        ("a.jsonl", GOOD + '{\n', NONE, r"line 2: not valid JSON"),
        ("a.jsonl", '{"source": "x", "target": "\\ud800"}\n', NONE, r"line 1: character 1 is half of a"),
        ("a.jsonl", "[" * 100_000, NONE, r"line 1: JSON that cannot be read \(nested too deeply\)"),
        ("a.tsv", "x\ty\n", ("en", None), r"data.target_language is not set while the other language is"),
        ("a.tsv", "x\ty\n", ("en", "en"), r"data.source_language and data.target_language are both en"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(tmp_path: Path, name: str, text: str, languages: Any, message: str) -> None:
    file = write(tmp_path / name.removesuffix(".gz"), text).rename(tmp_path / name)
    with pytest.raises(DataError, match=message):
        list(open_corpus(str(file), *languages).pairs())


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_damage_inside_a_table_is_named(tmp_path: Path, kind: str) -> None:
    good = {"tsv": b"a\tb\n", "csv": b"a,b\n", "jsonl": b'{"source": "a", "target": "b"}\n'}[kind]
    (tmp_path / f"a.{kind}").write_bytes(good * 2 + b"\xff" + good)
    with pytest.raises(DataError, match=rf"a.{kind}, line 3, byte 1: found the byte 0xFF"):
        list(open_corpus(f"{tmp_path}/a.{kind}").pairs())


def test_missing_files_and_a_file_given_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.en", "x\n")
    with pytest.raises(DataError, match=r"there is no file .*a.de; expected a pattern such as train.\{en,de\}"):
        open_corpus(f"{tmp_path}/a.{{en,de}}")
    with pytest.raises(DataError, match=r"there is no file .*b.tsv"):
        open_corpus(f"{tmp_path}/b.tsv")
    with pytest.raises(DataError, match="both sides of the corpus are the same file"):
        open_corpus([f"{tmp_path}/a.en", f"{tmp_path}/a.en"])
    (tmp_path / "a.de").mkdir()
    with pytest.raises(DataError, match="a.de is not a file"):
        open_corpus(f"{tmp_path}/a.{{en,de}}")


def test_the_fingerprint_follows_the_content_not_the_directory(tmp_path: Path) -> None:
    prints = []
    for directory, pairs in (("one", PAIRS), ("two", PAIRS), ("three", PAIRS[:2])):
        (tmp_path / directory).mkdir()
        write_pair(tmp_path / directory / "train", pairs)
        prints.append(open_corpus(f"{tmp_path}/{directory}/train.{{en,de}}").fingerprint())
    assert prints[0] == prints[1] != prints[2]
