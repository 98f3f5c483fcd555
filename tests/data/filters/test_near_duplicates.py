"""Near-duplicates, against shares of character sequences counted in plain Python."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.data.filters.near_duplicates import repeat_nearly, signatures

WORDS = [
    "tree",
    "house",
    "river",
    "stone",
    "cloud",
    "window",
    "garden",
    "letter",
    "morning",
    "winter",
    "summer",
    "paper",
    "music",
    "bread",
    "water",
    "light",
]


def sentence(generator: random.Random, words: int = 14) -> str:
    return " ".join(generator.choices(WORDS, k=words))


def shared(first: tuple[str, str], second: tuple[str, str]) -> float:
    """Share of sequences of five characters that two pairs have in common (Jaccard)."""

    def sequences(pair: tuple[str, str]) -> set[str]:
        text = "\n".join("".join(side.lower().split()) for side in pair) + "\0" * 4
        return {text[start : start + 5] for start in range(len(text) - 4)}

    one, other = sequences(first), sequences(second)
    return len(one & other) / len(one | other)


def test_bytes_of_signatures_agree_as_often_as_sequences_are_shared() -> None:
    generator = random.Random(1)
    errors = []
    for _ in range(60):
        first = (sentence(generator), sentence(generator))
        words = first[1].split()
        for index in generator.sample(range(14), 6):
            words[index] = generator.choice(WORDS)
        second = (first[0], " ".join(words))
        one, other = signatures([first, second])
        errors.append((one == other).mean() - shared(first, second))
    # 32 bytes estimate each share with a deviation of about 0.08.
    assert abs(float(np.mean(errors))) < 0.04
    assert float(np.std(errors)) < 0.12


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=8), st.integers(0, 8))
def test_a_signature_depends_on_its_pair_alone(pairs: list[tuple[str, str]], cut: int) -> None:
    whole = signatures(pairs)
    parts = np.concatenate([signatures(pairs[:cut]), signatures(pairs[cut:])])
    assert np.array_equal(whole, parts)
    assert whole.shape == (len(pairs), 32)


def test_pairs_that_differ_little_are_found_and_others_kept() -> None:
    generator = random.Random(2)
    pairs = [(sentence(generator, 30), sentence(generator, 30)) for _ in range(300)]
    assert not repeat_nearly(signatures(pairs)).any()
    changed = [(source, f"{target[:-1]}.") for source, target in pairs]
    found = repeat_nearly(signatures(pairs + changed))
    assert not found[:300].any()
    assert found[300:].mean() > 0.9


def test_case_and_spaces_do_not_count_but_the_sides_do() -> None:
    pair = ("The Tree is green.", "Der Baum ist grün.")
    others = [("the tree  is green.", "DER BAUM ist grün. "), ("Der Baum ist grün.", "The Tree is green.")]
    assert repeat_nearly(signatures([pair, *others])).tolist() == [False, True, False]
    assert repeat_nearly(signatures([])).tolist() == []
