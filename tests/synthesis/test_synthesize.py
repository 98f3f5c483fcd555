"""Translations of many lines as a corpus: what is written, by how many processes, and after which deaths."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE
from translator.cli.synthesize import words_of_options
from translator.errors import ConfigError, DataError, OutputError
from translator.runtime.files import create_file
from translator.synthesis import TextLines, Wanted, lines_of, synthesize
from translator.synthesis.shards import ShardDirectory
from translator.text import open_corpus, read_lines
from translator.translation import Translator
from translator.translation.score_lines import score_lines

LINES = [f"a {first} {second}." for first in ("dog", "cat", "man") for second in ("runs", "sleeps", "reads")]
TEXT = [*LINES[:4], "", *LINES[4:], "a\ttab"]
SETTINGS = ("--set", "device=cpu", "--set", "threads=1", "--engine", "native")


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, device="cpu", engine="native")


@pytest.fixture
def text(tmp_path: Path) -> TextLines:
    file = tmp_path / "mono.en"
    file.write_text("\n".join(TEXT) + "\n")
    return TextLines([file])


def table(directory: Path) -> list[list[str]]:
    """The rows of all shards, without header lines."""
    return [
        line.split("\t")
        for shard in sorted(directory.glob("part-*"))
        for line in itertools.islice(read_lines(shard), 1, None)
    ]


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_every_line_is_translated_in_order(translator: Translator, text: TextLines, tmp_path: Path) -> None:
    manifest = synthesize(translator, text, tmp_path / "syn", translator.settings, Wanted(shard_lines=4))
    assert sorted(content(tmp_path / "syn")) == [
        "manifest.json", "part-00000.tsv.zst", "part-00001.tsv.zst", "part-00002.tsv.zst", "request.json"
    ]  # fmt: skip
    rows = table(tmp_path / "syn")
    assert [row[0] for row in rows] == [line.replace("\t", " ") for line in TEXT]
    assert [row[1].rstrip() for row in rows] == [own.rstrip() for own in translator.translate(TEXT)]
    detailed = [line.translations[0] for line in translator.translate_in_detail(TEXT)]
    scores = ["" if not row[1] else float(row[2]) for row in rows]
    assert scores == [round(own.log_probability / (len(own.pieces) + 1), 4) if own.text else "" for own in detailed]
    assert (manifest.rows, manifest.shards) == (len(TEXT), 3)
    corpus = open_corpus(str(tmp_path / "syn"))
    kept = [(row[0], row[1]) for row in rows if row[0] and row[1].strip()]
    assert (corpus.languages, list(corpus.pairs())) == (("en", "de"), kept)
    assert corpus.skipped == {"synthetic pair without a translation": len(rows) - len(kept)}
    swapped = open_corpus(str(tmp_path / "syn"), "de", "en")
    assert list(swapped.pairs()) == [pair[::-1] for pair in kept]
    assert swapped.fingerprint() != corpus.fingerprint()
    with pytest.raises(DataError, match="is in en and de, expected en and fr"):
        open_corpus(str(tmp_path / "syn"), "en", "fr")


def test_back_translation_is_the_tagged_source_side(translator: Translator, text: TextLines, tmp_path: Path) -> None:
    synthesize(translator, text, tmp_path / "plain", translator.settings)
    synthesize(translator, text, tmp_path / "back", translator.settings, Wanted(back=True, tag="<bt>"))
    plain, back = table(tmp_path / "plain"), table(tmp_path / "back")
    assert back == [[f"<bt> {own}" if line and own.strip() else own, line, *scores] for line, own, *scores in plain]
    assert open_corpus(str(tmp_path / "back")).languages == ("de", "en")


def test_a_share_of_the_pairs_is_chosen_by_score_and_may_change(
    translator: Translator, text: TextLines, tmp_path: Path
) -> None:
    directory = tmp_path / "syn"
    everything = synthesize(translator, text, directory, translator.settings)
    shards = {name: data for name, data in content(directory).items() if name.startswith("part")}
    pairs = list(open_corpus(str(directory)).pairs())
    manifest = synthesize(translator, text, directory, translator.settings, Wanted(keep_best=0.5))
    scored = sorted((float(row[2]) for row in table(directory) if row[2]), reverse=True)
    assert manifest.least == scored[len(scored) - len(scored) // 2 - 1]
    corpus = open_corpus(str(directory))
    chosen = list(corpus.pairs())
    assert (len(chosen), everything.kept) == (manifest.kept, len(pairs))
    assert chosen == [(row[0], row[1]) for row in table(directory) if row[2] and float(row[2]) >= manifest.least]
    assert corpus.skipped["synthetic pair with too low a score"] == len(pairs) - len(chosen)
    assert next(corpus.pairs()) == chosen[0]
    assert corpus.skipped["synthetic pair with too low a score"] == len(pairs) - len(chosen)
    assert shards == {name: data for name, data in content(directory).items() if name.startswith("part")}


def test_the_nearest_to_the_reference_is_chosen(translator: Translator, tmp_path: Path) -> None:
    settings = translator.settings.model_copy(update={"beam_size": 4, "n_best": 4})
    found = [
        [own.text for own in line.translations] for line in translator.translate_in_detail(LINES, beam_size=4, n_best=4)
    ]
    # Each line's third translation is its reference, and so the nearest to it.
    (tmp_path / "c.en").write_text("\n".join(LINES) + "\n")
    (tmp_path / "c.de").write_text("\n".join(own[min(2, len(own) - 1)] for own in found) + "\n")
    lines = lines_of([str(tmp_path / "c.{de,en}")], translator.bundle.config.data)
    synthesize(translator, lines, tmp_path / "all", settings)
    assert [row[1] for row in table(tmp_path / "all")] == [text for own in found for text in own]
    synthesize(translator, lines, tmp_path / "nearest", settings, Wanted(nearest=True))
    assert [row[1] for row in table(tmp_path / "nearest")] == [own[min(2, len(own) - 1)] for own in found]


def test_a_reverse_model_scores_the_pairs(translator: Translator, text: TextLines, tmp_path: Path) -> None:
    data = translator.bundle.config.data.model_copy(update={"source_language": "de", "target_language": "en"})
    config = translator.bundle.config.model_copy(update={"data": data})
    reverse = replace(translator.bundle, config=config)
    synthesize(translator, text, tmp_path / "syn", translator.settings, scorer=reverse)
    rows = [row for row in table(tmp_path / "syn") if row[1].strip()]
    scored = score_lines([reverse], [(row[1], row[0]) for row in rows], translator.settings)
    expected = [own.target.log_probability / len(own.pieces) for own in scored if own.target is not None]
    assert [float(row[3]) for row in rows] == pytest.approx(expected, abs=1e-4)
    data = data.model_copy(update={"source_language": "deu", "target_language": "en-GB"})
    named = replace(reverse, config=config.model_copy(update={"data": data}))
    synthesize(translator, text, tmp_path / "named", translator.settings, scorer=named)
    assert table(tmp_path / "named") == table(tmp_path / "syn")
    with pytest.raises(ConfigError, match="translates en to de, expected de to en"):
        synthesize(translator, text, tmp_path / "other", translator.settings, scorer=translator.bundle)


def test_only_missing_shards_are_made(translator: Translator, text: TextLines, tmp_path: Path) -> None:
    """Shards that are there are kept as they are; what a dead process left is replaced by the same bytes."""
    directory, wanted = tmp_path / "syn", Wanted(shard_lines=3)
    synthesize(translator, text, directory, translator.settings, wanted)
    whole = content(directory)
    (directory / "part-00001.tsv.zst").unlink()
    (directory / "manifest.json").unlink()
    with pytest.raises(DataError, match="is not complete"):
        open_corpus(str(directory))
    kept = directory / "part-00002.tsv.zst"
    kept.write_bytes(kept.read_bytes())
    before = kept.stat().st_mtime_ns
    _, descriptor = create_file(directory / "part-00001.tsv.zst", ".partial")
    os.close(descriptor)
    synthesize(translator, text, directory, translator.settings, wanted)
    assert content(directory) == whole
    assert kept.stat().st_mtime_ns == before
    (directory / "part-00001.tsv.zst").unlink()
    with pytest.raises(DataError, match=r"part-00001.tsv.zst is missing"):
        open_corpus(str(directory))
    synthesize(translator, text, directory, translator.settings, wanted)
    assert content(directory) == whole


def test_what_another_process_writes_is_left_to_it(translator: Translator, text: TextLines, tmp_path: Path) -> None:
    first, second = (ShardDirectory(tmp_path / "syn", {"asked": 1}) for _ in range(2))
    with first.claim(0) as file, second.claim(0) as other, second.claim(1) as next_one:
        assert file is not None and other is None and next_one is not None
        assert second.in_work(0) and not first.has(0)
        file.write(b"first")
    assert second.has(0) and not second.in_work(0)
    with second.claim(0) as again:
        assert again is None


def test_another_request_and_foreign_files_are_refused(translator: Translator, text: TextLines, tmp_path: Path) -> None:
    directory = tmp_path / "syn"
    synthesize(translator, text, directory, translator.settings)
    before = content(directory)
    greedy = translator.settings.model_copy(update={"beam_size": 1})
    with pytest.raises(DataError, match="beam_size: 2, and now 1"):
        synthesize(translator, text, directory, greedy)
    (tmp_path / "mono.en").write_text("another text\n")
    with pytest.raises(DataError, match=r"1 shard that was made otherwise \(other lines\)"):
        synthesize(translator, text, directory, translator.settings)
    assert content(directory) == before
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes").write_text("mine")
    with pytest.raises(OutputError, match=r"did not write \(notes\)"):
        synthesize(translator, text, tmp_path / "foreign", translator.settings)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(tag="<bt>"), "it is for back-translation"),
        (Wanted(tag="\t", back=True), "expected text such as <bt>"),
        (Wanted(nearest=True), "there are no references"),
        (Wanted(keep_best=0.0), "expected a share above 0"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(
    translator: Translator, text: TextLines, tmp_path: Path, wanted: Wanted, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        synthesize(translator, text, tmp_path / "syn", translator.settings, wanted)
    assert not (tmp_path / "syn").exists()


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(DataError, match="cannot be read again"):
            TextLines([tmp_path / "pipe"])
    finally:
        os.close(descriptor)


def test_samples_depend_on_the_line_alone(call_program: Callable[..., Any], tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mono.en").write_text("\n".join(TEXT) + "\n")
    rows = []
    for size in (3, 100):
        arguments = ("--input", tmp_path / "mono.en", "--output", tmp_path / f"syn{size}", "--shard-lines", size)
        code, output, errors = call_program("synthesize", tiny_run, *arguments, "--sample", "--n-best", 3, *SETTINGS)
        assert (code, output) == (0, f"{tmp_path}/syn{size}\n"), errors
        rows.append(table(tmp_path / f"syn{size}"))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3 * (len(TEXT) - 1) + 1
    assert len({row[1] for row in rows[0]}) > len(TEXT)


@pytest.mark.slow
def test_processes_that_are_killed_leave_the_same_bytes(translator: Translator, tiny_run: Path, tmp_path: Path) -> None:
    """Processes that do not know of each other, killed again and again, and then left to finish."""
    (tmp_path / "mono.en").write_text("\n".join(LINES * 150) + "\n")
    arguments = ("--input", tmp_path / "mono.en", "--shard-lines", 50, *SETTINGS)

    def start(output: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "translator",
            "synthesize",
            tiny_run,
            *arguments,
            "--output",
            tmp_path / output,
        ]
        return subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    assert start("alone").wait(timeout=PATIENCE) == 0
    deaths = 0
    for shards in (1, 6):
        processes = [start("together") for _ in range(2)]
        while len(list((tmp_path / "together").glob("part-*"))) < shards and any(
            own.poll() is None for own in processes
        ):
            time.sleep(0.002)
        for process in processes:
            process.send_signal(signal.SIGKILL)
            deaths += process.wait() == -signal.SIGKILL
    assert deaths >= 3
    for process in [start("together") for _ in range(2)]:
        assert process.wait(timeout=PATIENCE) == 0
    assert content(tmp_path / "together") == content(tmp_path / "alone")
    assert len(content(tmp_path / "alone")) == 27 + 2


def test_ranks_of_a_job_write_the_same_bytes(
    tiny_run: Path, tmp_path: Path, call_program: Callable[..., Any], start_ranks: Callable[..., Any]
) -> None:
    (tmp_path / "mono.en").write_text("\n".join(LINES * 30) + "\n")
    command = ("synthesize", tiny_run, "--input", tmp_path / "mono.en", "--shard-lines", 20, *SETTINGS)
    assert call_program(*command, "--output", tmp_path / "alone")[0] == 0
    processes = start_ranks(2, "-m", "translator", *command, "--output", tmp_path / "together")
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [output for output, _ in outputs] == [f"{tmp_path}/together\n", ""]
    assert content(tmp_path / "together") == content(tmp_path / "alone")


@pytest.mark.parametrize(
    ("stated", "n_best", "expected"),
    [
        ([], None, ["n_best=2"]),
        (["beam_size=8"], None, ["n_best=8", "beam_size=8"]),
        (["decoding.beam_size=8"], None, ["n_best=8", "decoding.beam_size=8"]),
        (["decoding.n_best=3", "beam_size=4"], None, ["decoding.n_best=3", "beam_size=4"]),
        ([], 6, ["n_best=6", "beam_size=6"]),
        (["beam_size=9"], 6, ["n_best=6", "beam_size=9"]),
    ],
)
def test_the_nearest_is_chosen_among_as_many_as_the_beam_that_is_asked_for(
    tiny_run: Path, stated: list[str], n_best: int | None, expected: list[str]
) -> None:
    assert words_of_options(tiny_run, n_best, False, True, stated) == expected
