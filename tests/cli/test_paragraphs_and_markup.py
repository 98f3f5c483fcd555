"""`--document` and `--markup` through the real command."""

from collections.abc import Callable
from pathlib import Path

Program = Callable[..., tuple[int, str, str]]
GREEDY = ("--engine=native", "--set=beam_size=1")


def test_every_sentence_of_a_document_is_translated_on_its_own(tiny_run: Path, call_program: Program) -> None:
    sentences = ["A dog runs.", "The red cat sleeps in the house!", "A man reads."]
    alone = call_program("translate", tiny_run, *GREEDY, input="".join(f"{one}\n" for one in sentences).encode())[1]
    first, second, third = alone.splitlines()
    text = f"{sentences[0]} {sentences[1]}\n\n{sentences[2]}\n".encode()
    code, output, errors = call_program("translate", tiny_run, "--document", *GREEDY, input=text)
    assert code == 0, errors
    assert output == f"{first} {second}\n\n{third}\n"
    assert call_program("translate", tiny_run, *GREEDY, input=text)[1] != output
    # A line has one hypothesis for each rank, whose parts are of that rank.
    words = ("--document", "--engine=native", "--set=beam_size=3", "--set=n_best=2", "--format=tsv")
    code, output, errors = call_program("translate", tiny_run, *words, input=text)
    assert code == 0, errors
    ranks = [tuple(row.split("\t")[:2]) for row in output.splitlines()]
    assert ranks[0] == ("1", "1") and ranks[-1][0] == "3" and len(set(ranks)) == len(ranks)


def test_every_hypothesis_of_marked_text_has_its_tags(tiny_run: Path, call_program: Program) -> None:
    text = b"a <b>dog</b> runs\nthe cat\n<i>a <b>red</b> house</i>\n"
    words = ("--markup=html", "--engine=native", "--set=beam_size=3", "--set=n_best=3", "--format=tsv")
    code, output, errors = call_program("translate", tiny_run, *words, input=text)
    assert code == 0, errors
    rows = [row.split("\t") for row in output.splitlines()]
    assert [row[1] for row in rows if row[0] == "1"] == ["1", "2", "3"]
    for number, tags in (("1", ["b"]), ("2", []), ("3", ["b", "i"])):
        for row in rows:
            if row[0] == number:
                assert all(row[4].count(f"<{tag}>") == row[4].count(f"</{tag}>") == 1 for tag in tags), row
                assert row[4].count("<") == 2 * len(tags)
