"""Time and peak memory of `translator data prepare` on synthetic pairs.

    python scripts/bench_prepare.py [--pairs 1000000] [--set KEY=VALUE ...]

Sentences are random words with Zipf-like frequencies, so that the text has as many different words as a real
corpus; cleaning drops one pair in a hundred. The clock covers the whole command: checking,
training the tokenizer, cleaning, encoding and writing.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

WORDS = 200_000
LETTERS = "etaoinshrdlucmfwypvbgkjqxzäöüß"


def main() -> None:
    """Make the corpus, prepare it in a process of its own, print seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="training pairs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for split, pairs, seed in (("train", arguments.pairs, 1), ("valid", 1000, 2)):
            write_corpus(directory, split, pairs, seed)
        text = sum(file.stat().st_size for file in directory.iterdir())
        command = [sys.executable, "-m", "translator", "data", "prepare", f"run={directory / 'run'}"]
        command += [f"data.{split}={directory / split}.{{en,de}}" for split in ("train", "valid")]
        begin = time.perf_counter()
        subprocess.run([*command, *arguments.set], check=True)
        seconds = time.perf_counter() - begin
        # Linux counts in KiB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(
            f"{arguments.pairs:,} pairs, {text / 1e6:,.0f} MB of text: {seconds:,.1f} s, "
            f"{arguments.pairs / seconds:,.0f} pairs/s, peak resident memory {peak / 1e6:,.0f} MB"
        )


def write_corpus(directory: Path, split: str, pairs: int, seed: int) -> None:
    """Write `pairs` lines of SPLIT.en and SPLIT.de; cleaning drops one pair in a hundred."""
    words = make_words(random.Random(0))
    weights = list(accumulate(1.0 / (rank + 3) for rank in range(len(words))))
    generator = random.Random(seed)

    def sentence() -> str:
        count = max(3, int(generator.lognormvariate(2.9, 0.5)))
        return " ".join(generator.choices(words, cum_weights=weights, k=count)) + "."

    sides = ("a b c.", "d e f.")
    with (directory / f"{split}.en").open("w") as source, (directory / f"{split}.de").open("w") as target:
        for number in range(pairs):
            if split == "valid" or number % 100:
                sides = (sentence(), sentence())
            elif number % 300 == 0:
                sides = (sides[0], "")
            elif number % 300 == 100:
                sides = (sides[0], " ".join([sides[1]] * 40))
            source.write(sides[0] + "\n")
            target.write(sides[1] + "\n")


def make_words(generator: random.Random) -> list[str]:
    """Return distinct made-up words, short ones first."""
    words: dict[str, None] = {}
    while len(words) < WORDS:
        length = 2 + len(words).bit_length() // 3 + generator.randrange(4)
        letters = (LETTERS[min(int(generator.expovariate(0.15)), len(LETTERS) - 1)] for _ in range(length))
        words["".join(letters)] = None
    return list(words)


if __name__ == "__main__":
    main()
