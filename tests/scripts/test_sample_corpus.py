"""Tests of the sample corpus: its files, the grammar of its generator and the alignment of its test set."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
SIZES = {"train": 30_000, "valid": 500, "test": 1_000}
CASES = ("nom", "acc", "dat", "gen")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The generator script, loaded by path since scripts/ is not a package."""
    folder = ROOT / "scripts"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("make_sample_corpus", folder / "make_sample_corpus.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def grammar(script: ModuleType) -> Any:
    """The generator's grammar module."""
    return sys.modules["sample_corpus.grammar"]


@pytest.fixture(scope="module")
def lexicon(script: ModuleType) -> Any:
    """The generator's lexicon module."""
    return sys.modules["sample_corpus.lexicon"]


def _lines(name: str) -> list[str]:
    text = (DATA / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


def _name(grammar: Any, keys: Any, name: str) -> Any:
    token = [grammar.Tok(name, (keys(),))]
    return grammar.NounPhrase(token, token, dict.fromkeys(CASES, token), "f", "definite")


def _text(tokens: list[Any]) -> str:
    return " ".join(token.text for token in tokens)


def test_regenerating_gives_the_committed_bytes(script: ModuleType, tmp_path: Path) -> None:
    script.write_corpus(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    text = [f"{split}.{side}" for split in SIZES for side in ("en", "de")]
    assert names == sorted([*text, "test.align", "test.content.align"])
    for name in names:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


def test_readme_lists_the_checksum_of_each_file() -> None:
    rows = re.findall(r"^\| `([\w.]+)` .*`([0-9a-f]{64})`", (DATA / "README.md").read_text("utf-8"), re.MULTILINE)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("t*")}
    found |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("valid.*")}
    assert dict(rows) == found


def test_another_seed_gives_other_sentences(script: ModuleType, tmp_path: Path) -> None:
    script.write_corpus(tmp_path, seed=1, train_pairs=50)
    assert (tmp_path / "test.en").read_bytes() != (DATA / "test.en").read_bytes()
    assert len((tmp_path / "train.de").read_text(encoding="utf-8").splitlines()) == 50


@pytest.mark.parametrize("side", ["en", "de"])
def test_every_sentence_occurs_once(side: str) -> None:
    lines = {split: _lines(f"{split}.{side}") for split in SIZES}
    assert {split: len(found) for split, found in lines.items()} == SIZES
    every = [line for found in lines.values() for line in found]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("side", ["en", "de"])
def test_sentences_are_well_formed(side: str) -> None:
    for line in _lines(f"train.{side}"):
        assert line == line.strip() and "  " not in line
        assert line[0].isupper() and line[-1] in ".?!"
        assert 3 <= len(line.split()) <= 22
        assert ",," not in line and " ," not in line and not line[:-1].endswith(",")


def test_no_sentence_is_ambiguous(script: ModuleType) -> None:
    """Without the filter for repeats, no sentence of either language has two translations."""
    sentence = sys.modules["sample_corpus.patterns"].sentence
    dice = sys.modules["sample_corpus.choice"].Dice(3)
    german: dict[str, str] = {}
    english: dict[str, str] = {}
    for _ in range(4_000):
        pair = sentence(dice)
        assert german.setdefault(pair.en, pair.de) == pair.de
        assert english.setdefault(pair.de, pair.en) == pair.en


def test_no_two_words_share_a_translation(lexicon: Any) -> None:
    verbs = [verb.particle + verb.de for verb in lexicon.VERBS]
    cities = [german for _, german in lexicon.CITIES]
    nouns = [noun.de for noun in lexicon.NOUNS.values()]
    adjectives = [adjective.de for adjective in lexicon.ADJECTIVES.values()]
    for words in (verbs, cities, nouns, adjectives):
        assert len(set(words)) == len(words)


def test_alignment_is_within_bounds_and_covers_content_words() -> None:
    unlinked: dict[str, set[str]] = {"en": set(), "de": set()}
    for en, de, line in zip(_lines("test.en"), _lines("test.de"), _lines("test.align"), strict=True):
        links = [tuple(map(int, link.split("-"))) for link in line.split()]
        assert links and len(set(links)) == len(links)
        assert all(0 <= i < len(en.split()) and 0 <= j < len(de.split()) for i, j in links)
        for side, sentence, linked in (("en", en, {i for i, _ in links}), ("de", de, {j for _, j in links})):
            words = enumerate(sentence.lower().split())
            unlinked[side] |= {word.strip(".,?!") for k, word in words if k not in linked}
    assert unlinked["en"] <= {"to", "do", "does", "did", "is", "are", "am"}
    auxiliaries = {"hat", "habe", "haben", "ist", "bin", "sind"}
    # "dem" is that of "mit dem Bus", which English says without an article.
    assert unlinked["de"] <= auxiliaries | {"gerade", "um", "zu", "dem"}


def test_alignment_links_names_to_themselves() -> None:
    for en, de, line in zip(_lines("test.en"), _lines("test.de"), _lines("test.align"), strict=True):
        links = {tuple(map(int, link.split("-"))) for link in line.split()}
        german = [word.strip(".,?!") for word in de.split()]
        for i, word in enumerate(word.strip(".,?!") for word in en.split()):
            if word in ("Anna", "Berlin", "Karl"):
                assert [german[j] for k, j in links if k == i] == [word], (en, de)


@pytest.mark.parametrize(
    ("declension", "case", "slot", "ending"),
    [
        ("weak", "nom", "m", "e"),
        ("weak", "acc", "m", "en"),
        ("weak", "acc", "f", "e"),
        ("weak", "dat", "n", "en"),
        ("mixed", "nom", "m", "er"),
        ("mixed", "acc", "n", "es"),
        ("mixed", "nom", "p", "en"),
        ("strong", "acc", "m", "en"),
        ("strong", "nom", "n", "es"),
        ("strong", "dat", "m", "em"),
        ("strong", "acc", "p", "e"),
        ("strong", "dat", "f", "er"),
    ],
)
def test_adjective_endings(grammar: Any, declension: str, case: str, slot: str, ending: str) -> None:
    assert grammar.adjective_ending(declension, case, slot) == ending


@pytest.mark.parametrize(
    ("case", "forms"),
    [("nom", "der die das die"), ("acc", "den die das die"), ("dat", "dem der dem denen")],
)
def test_relative_pronouns(grammar: Any, case: str, forms: str) -> None:
    assert [grammar.relative_pronoun(case, slot) for slot in "mfnp"] == forms.split()


@pytest.mark.parametrize(
    ("noun", "determiner", "adjective", "plural", "case", "expected"),
    [
        ("boy", "the", "small", False, "acc", "den kleinen Jungen"),
        ("farmer", "this", "old", False, "dat", "diesem alten Bauern"),
        ("man", "the", None, False, "gen", "des Mannes"),
        ("car", "a", "expensive", False, "nom", "ein teures Auto"),
        ("coat", "a", "new", False, "acc", "einen neuen Mantel"),
        ("coffee", "", "hot", False, "acc", "heißen Kaffee"),
        ("child", "the", None, True, "dat", "den Kindern"),
        ("car", "many", "red", True, "dat", "vielen roten Autos"),
        ("sister", "our", "tired", False, "dat", "unserer müden Schwester"),
        ("apple", "no", "big", True, "acc", "keine großen Äpfel"),
    ],
)
def test_noun_phrases(
    grammar: Any,
    lexicon: Any,
    noun: str,
    determiner: str,
    adjective: str | None,
    plural: bool,
    case: str,
    expected: str,
) -> None:
    chosen = lexicon.ADJECTIVES[adjective] if adjective else None
    phrase = grammar.noun_phrase(grammar.Keys(), lexicon.NOUNS[noun], determiner, plural=plural, adjective=chosen)
    assert _text(phrase.cases[case]) == expected


@pytest.mark.parametrize(
    ("noun", "english", "german", "case", "expected"),
    [
        ("house", "in", "in", "dat", "im Haus"),
        ("house", "into", "in", "acc", "ins Haus"),
        ("garden", "into", "in", "acc", "in den Garten"),
        ("school", "to", "zu", "dat", "zur Schule"),
        ("station", "at", "an", "dat", "am Bahnhof"),
    ],
)
def test_prepositions(
    grammar: Any, lexicon: Any, noun: str, english: str, german: str, case: str, expected: str
) -> None:
    keys = grammar.Keys()
    np = grammar.noun_phrase(keys, lexicon.NOUNS[noun], "the")
    assert _text(grammar.prepositional_phrase(keys, english, german, np, case).de) == expected


@pytest.mark.parametrize(
    ("infinitive", "forms"),
    [
        ("geben", "gebe gibt geben"),
        ("lesen", "lese liest lesen"),
        ("schlafen", "schlafe schläft schlafen"),
        ("öffnen", "öffne öffnet öffnen"),
        ("wissen", "weiß weiß wissen"),
        ("sein", "bin ist sind"),
    ],
)
def test_present_forms(grammar: Any, lexicon: Any, infinitive: str, forms: str) -> None:
    verb = lexicon.VERB[infinitive]
    found = [grammar.present_form(verb, *agreement) for agreement in ((1, False), (3, False), (3, True))]
    assert found == forms.split()


def test_separable_verbs(grammar: Any, lexicon: Any) -> None:
    keys = grammar.Keys()
    anna, guest = _name(grammar, keys, "Anna"), grammar.noun_phrase(keys, lexicon.NOUNS["guest"], "the")
    clause = grammar.Clause(keys, anna, lexicon.VERB["abholen"], accusative=guest)
    assert _text(grammar.german(clause, "second")) == "Anna holt den Gast ab"
    assert _text(grammar.german(clause, "final")) == "Anna den Gast abholt"
    assert _text(grammar.german(clause, "first")) == "holt Anna den Gast ab"
    assert _text(grammar.infinitive_clause(clause).de) == "den Gast abzuholen"
    pair = grammar.finish(grammar.english(clause), grammar.german(clause, "second"), ".")
    assert pair.en == "Anna picks up the guest."
    assert pair.alignment == ((0, 0), (1, 1), (1, 4), (2, 1), (2, 4), (3, 2), (4, 3))


def test_word_order_of_time_and_objects(grammar: Any, lexicon: Any) -> None:
    keys = grammar.Keys()
    book = lexicon.NOUNS["book"]
    clause = grammar.Clause(keys, _name(grammar, keys, "Anna"), lexicon.VERB["kaufen"], "past")
    clause.time = grammar.marked(keys, "yesterday/1", "gestern/1")
    clause.place = grammar.marked(keys, "in/1 Berlin/2", "in/1 Berlin/2")
    clause.accusative = grammar.noun_phrase(keys, book, "a")
    assert _text(grammar.german(clause, "second")) == "Anna hat gestern in Berlin ein Buch gekauft"
    assert _text(grammar.english(clause)) == "Anna bought a book in Berlin yesterday"
    clause.accusative, clause.front = grammar.noun_phrase(keys, book, "the"), "time"
    assert _text(grammar.german(clause, "second")) == "gestern hat Anna das Buch in Berlin gekauft"
    clause.front, clause.place, clause.negation = "", None, keys()
    assert _text(grammar.german(clause, "second")) == "Anna hat das Buch gestern nicht gekauft"
    assert _text(grammar.english(clause, inverted=True)) == "did Anna not buy the book yesterday"


def test_object_pronoun_precedes_an_indefinite_subject_only(grammar: Any, lexicon: Any) -> None:
    keys = grammar.Keys()
    token = [grammar.Tok("mich", (keys(),))]
    me = grammar.NounPhrase(token, token, {"acc": token}, "m", "pronoun", person=1)
    guest = lexicon.NOUNS["guest"]
    clause = grammar.Clause(
        keys, grammar.noun_phrase(keys, guest, "a"), lexicon.VERB["besuchen"], "past", accusative=me
    )
    assert _text(grammar.german(clause, "final")) == "mich ein Gast besucht hat"
    assert _text(grammar.german(clause, "second")) == "ein Gast hat mich besucht"
    clause.subject = grammar.noun_phrase(keys, guest, "the")
    assert _text(grammar.german(clause, "final")) == "der Gast mich besucht hat"


def test_persons_precede_adverbs_of_frequency_and_things_follow(grammar: Any, lexicon: Any) -> None:
    keys = grammar.Keys()
    anna, guest = _name(grammar, keys, "Anna"), grammar.noun_phrase(keys, lexicon.NOUNS["guest"], "the")
    clause = grammar.Clause(keys, anna, lexicon.VERB["einladen"], accusative=guest)
    clause.frequency = grammar.marked(keys, "always/1", "immer/1")
    assert _text(grammar.german(clause, "second")) == "Anna lädt den Gast immer ein"
    clause.accusative = grammar.noun_phrase(keys, lexicon.NOUNS["box"], "the")
    assert _text(grammar.german(clause, "second")) == "Anna lädt immer die Kiste ein"


@pytest.mark.parametrize(
    "wrong",
    [
        r"jede[n]? (Tag|Woche)[^,]* (nicht|kein)",
        r"gehört (de[mr]|mein|unser)[^,]* nicht",
        r"(haben|hat) [^,]*gelegen",
    ],
)
def test_committed_sentences_avoid_unnatural_german(wrong: str) -> None:
    assert [line for line in _lines("train.de") if re.search(wrong, line)] == []


def test_relative_clause_has_the_verb_last(grammar: Any, lexicon: Any) -> None:
    keys = grammar.Keys()
    head = grammar.noun_phrase(keys, lexicon.NOUNS["child"], "the")
    anna = _name(grammar, keys, "Anna")
    clause = grammar.Clause(keys, anna, lexicon.VERB["helfen"], "past", dative=grammar.gap(head))
    relative = grammar.relative_clause(head, "dat", clause)
    assert _text(relative.de) == ", dem Anna geholfen hat ,"
    assert _text(relative.en) == "whom Anna helped"


def test_committed_subordinate_clauses_end_in_the_finite_verb() -> None:
    """After "weil" no finite auxiliary stands before the participle."""
    clauses = [line.split(", weil ")[1] for line in _lines("train.de") if ", weil " in line]
    perfect = [clause for clause in clauses if " hat" in clause or " ist" in clause]
    assert len(perfect) > 500
    assert all(clause.split()[-1].rstrip(".") in ("hat", "ist", "isst") for clause in perfect)


def test_content_links_are_all_those_of_the_german_content_words(script: ModuleType) -> None:
    pair = sys.modules["sample_corpus.grammar"].Pair(
        "The old baker tried on a hat.", "Der alte Bäcker hat einen Hut anprobiert.",
        ((0, 0), (1, 1), (2, 2), (3, 6), (4, 6), (5, 4), (6, 5)),
    )  # fmt: skip
    assert script.content_links(pair) == [(1, 1), (2, 2), (3, 6), (4, 6), (6, 5)]


def test_content_links_of_the_test_set_are_among_all_its_links() -> None:
    for content, links in zip(_lines("test.content.align"), _lines("test.align"), strict=True):
        assert set(content.split()) <= set(links.split())
