"""Time and peak memory of reading a translation memory (TMX) of synthetic units.

    python scripts/bench_tmx.py [--units 1000000] [--compression zst]

Each unit has a segment of 8 to 19 words in two languages, and a pair of inline tags. The clock covers the reading;
the memory is that of this process, which writes the file as a stream before.
"""

import argparse
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from translator.text import open_corpus

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US" segtype="sentence"/><body>
"""
UNIT = """<tu tuid="{number}">
<tuv xml:lang="en-US"><seg>{source} <bpt i="1">&lt;b&gt;</bpt>{number}<ept i="1">&lt;/b&gt;</ept></seg></tuv>
<tuv xml:lang="de-DE"><seg>{target} {number}</seg></tuv>
</tu>
"""
PACKERS = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd"}


def main() -> None:
    """Write the file, read it, print pairs, seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1_000_000, help="translation units")
    parser.add_argument("--compression", choices=PACKERS, help="compress the file (with the program of that name)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = write_memory(Path(name) / "units.tmx", arguments.units)
        print(f"{file.stat().st_size / 1e6:,.0f} MB of TMX")
        if arguments.compression:
            subprocess.run([PACKERS[arguments.compression], "-q", str(file)], check=True)
            file = file.with_name(f"{file.name}.{arguments.compression}")
        before, wall, cpu = peak_mebibytes(), time.perf_counter(), time.process_time()
        pairs = sum(1 for _ in open_corpus(str(file)).pairs())
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{pairs:,} pairs in {seconds:.1f} s ({cpu_seconds:.1f} s of CPU); peak resident memory "
        f"{peak_mebibytes():.0f} MiB, {before:.0f} MiB before reading"
    )


def write_memory(file: Path, units: int) -> Path:
    """Write a TMX file of `units` units, the same for every call."""
    drawn = random.Random(1)
    words = [(f"word{number}", f"Wort{number}") for number in range(5000)]
    with file.open("w", encoding="utf-8") as stream:
        stream.write(HEAD)
        for number in range(units):
            chosen = drawn.choices(words, k=8 + number % 12)
            source, target = (" ".join(word[side] for word in chosen) for side in (0, 1))
            stream.write(UNIT.format(number=number, source=source, target=target))
        stream.write("</body></tmx>\n")
    return file


def peak_mebibytes() -> float:
    """Return the peak resident memory of this process, on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
