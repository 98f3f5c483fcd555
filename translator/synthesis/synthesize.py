"""Synthetic parallel text: translations of many lines, in shards that any number of processes write."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.distributed.world import World
from translator.errors import ConfigError, DataError
from translator.runtime.console import progress, say, warn
from translator.runtime.counted import counted
from translator.runtime.termination import exit_on_termination
from translator.synthesis.lines import Line, Lines
from translator.synthesis.rows import ReverseScorer, RowWriter
from translator.synthesis.selection import select
from translator.synthesis.shards import ShardDirectory
from translator.text.formats.synthetic import Manifest, read_manifest
from translator.text.input_lines import LARGEST_BLOCK, blocks_of
from translator.translation import Translator

_POLL_SECONDS = 1.0
_LEVEL = 9


@dataclass(frozen=True)
class Wanted:
    """What is asked for, besides the settings of decoding."""

    to: str | None = None
    """The language to translate into, for a run with language tags."""
    back: bool = False
    """Whether the translations are the source side of the corpus (back-translation), not its target side."""
    tag: str = ""
    """Text before every translation, which tells a model what is synthetic (Caswell et al. 2019)."""
    nearest: bool = False
    """Whether only the translation nearest to the reference, by sentence chrF, is kept of those of a line."""
    keep_best: float = 1.0
    """Share of the pairs that the corpus has, the best by their score. All are written, and the share may be changed
    later."""
    shard_lines: int = 10_000
    """Lines of a shard, which is what a process that is killed loses."""

    def check(self, lines: Lines, settings: DecodingSettings) -> None:
        """Raise `ConfigError` with everything that cannot be done."""
        problems = []
        if self.tag and (not self.tag.strip() or set(self.tag) & set("\t\r\n")):
            problems.append(f"tag: found {self.tag!r}, expected text such as <bt>")
        if self.tag and not self.back:
            problems.append("tag: it is for back-translation, whose translations are the source side (--back)")
        if self.nearest and not lines.has_references:
            problems.append("nearest: there are no references; give a parallel corpus, such as 'train.{de,en}'")
        if self.nearest and settings.n_best == 1:
            problems.append("nearest: one translation leaves no choice; ask for several (--n-best 5)")
        if not 0.0 < self.keep_best <= 1.0:
            problems.append(f"keep-best: found {self.keep_best:g}, expected a share above 0, at most 1")
        if problems:
            raise ConfigError(problems)


def synthesize(
    translator: Translator,
    lines: Lines,
    output: Path,
    settings: DecodingSettings,
    wanted: Wanted = Wanted(),
    *,
    scorer: Bundle | None = None,
    world: World | None = None,
) -> Manifest:
    """Translate `lines` into the directory `output`, which is then a corpus (`text.formats.synthetic`).

    The directory may be begun already, with the same lines and settings; its complete shards are kept. All processes
    of a `world`, and others with the same arguments, share the work, and all return when it is done. The
    bytes that are written do not depend on how many they are. `scorer` is a run that translates the other way, whose
    scores then choose the pairs. Raises `ConfigError` for what cannot be done, `DataError` if the directory was begun
    with other arguments, and `OutputError` if it cannot be written.
    """
    wanted.check(lines, settings)
    data = translator.bundle.config.data
    languages = (data.source_language, wanted.to or data.target_language)
    writer = RowWriter(
        _sides(languages, wanted.back), wanted.back, wanted.tag, wanted.nearest,
        ReverseScorer(scorer, settings, languages) if scorer is not None else None,
    )  # fmt: skip
    shards = ShardDirectory(output, _request(translator, lines, settings, wanted, scorer))

    def complete() -> Manifest:
        return _complete(shards, count, writer.columns, wanted.keep_best)

    known = _finished(shards)
    if known is not None:
        count = known
    else:
        with exit_on_termination():
            count = _Work(translator, lines, shards, settings, wanted, writer).finish()
    return (world or World()).main_first(complete)


@dataclass(frozen=True)
class _Work:
    """What a process does: the shards that nobody else has done or is doing."""

    translator: Translator
    lines: Lines
    shards: ShardDirectory
    settings: DecodingSettings
    wanted: Wanted
    writer: RowWriter

    def finish(self) -> int:
        """Return how many shards there are, when all of them are complete."""
        before = self.shards.complete()
        if before:
            say(
                f"continuing after {counted(before, 'shard')} that {'is' if before == 1 else 'are'} complete in "
                f"{self.shards.path}"
            )
        with progress(description="synthesizing", unit="lines", total=self.lines.count()) as bar:
            count = self._pass(bar.update)
        waits = False
        while missing := [index for index in range(count) if not self.shards.has(index)]:
            if any(not self.shards.in_work(index) for index in missing):
                # Whoever was writing it has ended.
                self._pass(lambda lines: None)
                continue
            if not waits:
                say(f"waiting for {counted(len(missing), 'shard')} that other processes are writing")
                waits = True
            time.sleep(_POLL_SECONDS)
        return count

    def _pass(self, on_progress: Callable[[int], None]) -> int:
        """Go through all lines once, and write the shards that are ours to write; return how many shards there are."""
        source, index, size = iter(self.lines), 0, self.wanted.shard_lines
        while (first := next(source, None)) is not None:
            rest = islice(source, size - 1)
            with self.shards.claim(index) as file:
                if file is None:
                    on_progress(1 + sum(1 for _ in rest))
                else:
                    file.write(_compressed(self._rows([first, *rest], index * size + 1, on_progress)))
            index += 1
        return index

    def _rows(self, lines: Sequence[Line], number: int, on_progress: Callable[[int], None]) -> Iterator[str]:
        # Always the same blocks, because what is computed together can change the last digits of a score.
        blocks = blocks_of([line.text for line in lines], LARGEST_BLOCK)
        translated = self.translator.translate_blocks(
            blocks, self.settings, to=self.wanted.to, with_scores=True, on_progress=on_progress, first=number
        )
        return self.writer.rows(lines, list(translated))


def _compressed(rows: Iterator[str]) -> bytes:
    import pyarrow

    text = "".join(f"{row}\n" for row in rows).encode("utf-8", "replace")
    return bytes(pyarrow.Codec("zstd", compression_level=_LEVEL).compress(text, asbytes=True))


def _complete(shards: ShardDirectory, count: int, columns: list[str], keep_best: float) -> Manifest:
    """Write the manifest, and say what the corpus holds."""
    manifest, failed = select(shards.path, count, columns, keep_best)
    shards.write_manifest(manifest.as_json())
    chosen = f", {manifest.kept:,} of them chosen" if manifest.chosen_by is not None else ""
    least = f" ({manifest.chosen_by} at least {manifest.least:.4f})" if manifest.least is not None else ""
    without = f", {manifest.without_translation:,} without text" if manifest.without_translation else ""
    say(f"{shards.path}: {counted(manifest.rows, 'pair')} in {counted(count, 'shard')}{chosen}{least}{without}")
    if failed:
        listed = ", ".join(map(str, failed))
        warn(
            f"pairs without a translation although their source is not blank: {listed}" + ", ..." * (len(failed) == 10)
        )
    return manifest


def _finished(shards: ShardDirectory) -> int | None:
    """Return how many shards there are if all are complete, by the manifest; None if that is not known."""
    try:
        count = read_manifest(shards.path).shards
    except DataError:
        return None
    return count if all(shards.has(index) for index in range(count)) else None


def _sides(languages: tuple[str | None, str | None], back: bool) -> tuple[str, str]:
    """Name the columns of the sides, source first, by their languages if those are known."""
    first, second = languages[::-1] if back else languages
    return (first, second) if first is not None and second is not None and first != second else ("source", "target")


def _request(
    translator: Translator, lines: Lines, settings: DecodingSettings, wanted: Wanted, scorer: Bundle | None
) -> dict[str, Any]:
    """Return everything that the shards depend on."""
    return {
        "models": [bundle.digest for bundle in translator.bundles],
        "score_with": scorer.digest if scorer is not None else None,
        "engine": translator.engine_for(settings).name,
        "precision": translator.bundle.machine.precision,
        "lines": lines.identity(),
        "to": wanted.to,
        "back": wanted.back,
        "tag": wanted.tag,
        "nearest": wanted.nearest,
        "shard_lines": wanted.shard_lines,
        **settings.model_dump(mode="json"),
    }
