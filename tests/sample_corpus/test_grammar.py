"""The grammar of the sample corpus' generator: endings, word order and alignment."""

from typing import Any

import pytest

from data.generator import grammar, lexicon

CASES = ("nom", "acc", "dat", "gen")


def _name(keys: Any, name: str) -> Any:
    token = [grammar.Tok(name, (keys(),))]
    return grammar.NounPhrase(token, token, dict.fromkeys(CASES, token), "f", "definite")


def _text(tokens: list[Any]) -> str:
    return " ".join(token.text for token in tokens)


def test_no_two_words_share_a_translation() -> None:
    verbs = [verb.particle + verb.de for verb in lexicon.VERBS]
    cities = [german for _, german in lexicon.CITIES]
    nouns = [noun.de for noun in lexicon.NOUNS.values()]
    adjectives = [adjective.de for adjective in lexicon.ADJECTIVES.values()]
    for words in (verbs, cities, nouns, adjectives):
        assert len(set(words)) == len(words)


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
def test_adjective_endings(declension: str, case: str, slot: str, ending: str) -> None:
    assert grammar.adjective_ending(declension, case, slot) == ending


@pytest.mark.parametrize(
    ("case", "forms"),
    [("nom", "der die das die"), ("acc", "den die das die"), ("dat", "dem der dem denen")],
)
def test_relative_pronouns(case: str, forms: str) -> None:
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
def test_prepositions(noun: str, english: str, german: str, case: str, expected: str) -> None:
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
def test_present_forms(infinitive: str, forms: str) -> None:
    verb = lexicon.VERB[infinitive]
    found = [grammar.present_form(verb, *agreement) for agreement in ((1, False), (3, False), (3, True))]
    assert found == forms.split()


def test_separable_verbs() -> None:
    keys = grammar.Keys()
    anna, guest = _name(keys, "Anna"), grammar.noun_phrase(keys, lexicon.NOUNS["guest"], "the")
    clause = grammar.Clause(keys, anna, lexicon.VERB["abholen"], accusative=guest)
    assert _text(grammar.german(clause, "second")) == "Anna holt den Gast ab"
    assert _text(grammar.german(clause, "final")) == "Anna den Gast abholt"
    assert _text(grammar.german(clause, "first")) == "holt Anna den Gast ab"
    assert _text(grammar.infinitive_clause(clause).de) == "den Gast abzuholen"
    pair = grammar.finish(grammar.english(clause), grammar.german(clause, "second"), ".")
    assert pair.en == "Anna picks up the guest."
    assert pair.alignment == ((0, 0), (1, 1), (1, 4), (2, 1), (2, 4), (3, 2), (4, 3))


def test_word_order_of_time_and_objects() -> None:
    keys = grammar.Keys()
    book = lexicon.NOUNS["book"]
    clause = grammar.Clause(keys, _name(keys, "Anna"), lexicon.VERB["kaufen"], "past")
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


def test_object_pronoun_precedes_an_indefinite_subject_only() -> None:
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


def test_persons_precede_adverbs_of_frequency_and_things_follow() -> None:
    keys = grammar.Keys()
    anna, guest = _name(keys, "Anna"), grammar.noun_phrase(keys, lexicon.NOUNS["guest"], "the")
    clause = grammar.Clause(keys, anna, lexicon.VERB["einladen"], accusative=guest)
    clause.frequency = grammar.marked(keys, "always/1", "immer/1")
    assert _text(grammar.german(clause, "second")) == "Anna lädt den Gast immer ein"
    clause.accusative = grammar.noun_phrase(keys, lexicon.NOUNS["box"], "the")
    assert _text(grammar.german(clause, "second")) == "Anna lädt immer die Kiste ein"


def test_relative_clause_has_the_verb_last() -> None:
    keys = grammar.Keys()
    head = grammar.noun_phrase(keys, lexicon.NOUNS["child"], "the")
    anna = _name(keys, "Anna")
    clause = grammar.Clause(keys, anna, lexicon.VERB["helfen"], "past", dative=grammar.gap(head))
    relative = grammar.relative_clause(head, "dat", clause)
    assert _text(relative.de) == ", dem Anna geholfen hat ,"
    assert _text(relative.en) == "whom Anna helped"
