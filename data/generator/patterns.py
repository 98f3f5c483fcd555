"""Sentence patterns of the sample corpus: statements, questions, requests and complex sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import lexicon as lex
from .choice import Chooser, Dice
from .grammar import (
    COMMA,
    Clause,
    NounPhrase,
    Pair,
    Phrase,
    Tok,
    english,
    finish,
    gap,
    german,
    imperative,
    infinitive_clause,
    marked,
    noun_phrase,
    relative_clause,
)


def _adjective_phrase(c: Chooser, adjective: lex.Adjective) -> Phrase:
    key = (c.keys(),)
    return Phrase([Tok(adjective.en, key)], [Tok(adjective.de, key)])


def _be(c: Chooser, subject: NounPhrase, predicate: Phrase, tense: str = "pres") -> Clause:
    return Clause(c.keys, subject, lex.VERB["sein"], tense, complement=predicate)


def _statement(clause: Clause, end: str = ".") -> Pair:
    return finish(english(clause), german(clause, "second"), end)


def _front(c: Chooser, clause: Clause, probability: float = 0.35) -> Clause:
    """Sometimes open a statement with its time, frequency or place instead of the subject."""
    if not c.dice.chance(probability):
        return clause
    if clause.frequency and clause.frequency.en[0].text == "sometimes":
        clause.front = "frequency"
    elif clause.time:
        clause.front = "time"
    elif clause.place:
        clause.front = "place"
    return clause


def simple(c: Chooser) -> Pair:
    """A single main clause, often with a fronted adverbial."""
    return _statement(_front(c, c.clause()))


def topic(c: Chooser) -> Pair:
    """A main clause that opens with its object ("This coat, Anna bought in Berlin.")."""
    verb = lex.VERB[c.dice.pick(("kaufen", "finden", "verkaufen", "vergessen", "verlieren"))]
    noun = c.dice.pick(lex.nouns_tagged(*verb.objects))
    accusative = noun_phrase(c.keys, noun, "this")
    clause = c.clause(verb=verb, accusative=accusative, subject=c.name(), tense="past")
    clause.front = "accusative"
    return _statement(clause)


def _state(c: Chooser, subject: NounPhrase, tense: str) -> Clause | None:
    """Say how the subject of another clause feels, by a pronoun; None if no pronoun is unambiguous."""
    if not subject.owner:
        return None
    return _be(c, c.pronoun(subject.owner), _adjective_phrase(c, c.dice.pick(lex.STATES)), tense)


def _quality(c: Chooser, np: NounPhrase | None, tense: str) -> Clause | None:
    """Say what an object is like; English "it" becomes "er", "sie" or "es" by the German gender."""
    if np is None or np.noun is None or np.noun.kind not in lex.QUALITIES_BY_KIND or np.plural:
        return None
    pronoun = {"m": "er", "f": "sie", "n": "es"}[np.slot]
    phrase = marked(c.keys, "it/1", f"{pronoun}/1")
    subject = NounPhrase(phrase.en, phrase.en, {"nom": phrase.de}, np.slot, "pronoun")
    adjective = c.dice.pick(lex.QUALITIES_BY_KIND[np.noun.kind])
    return _be(c, subject, _adjective_phrase(c, adjective), tense)


def _join(c: Chooser, main: Clause, conjunction: tuple[str, str], sub: Clause, end: str = ".") -> Pair:
    """Put a subordinate clause after or before a main clause."""
    key = (c.keys(),)
    en_sub = [Tok(conjunction[0], key), *english(sub)]
    de_sub = [Tok(conjunction[1], key), *german(sub, "final")]
    if c.dice.chance(0.4) and main.subject.kind != "pronoun" and sub.subject.kind != "pronoun":
        return finish([*en_sub, COMMA, *english(main)], [*de_sub, COMMA, *german(main, "first")], end)
    return finish([*english(main), *en_sub], [*german(main, "second"), COMMA, *de_sub], end)


def reason(c: Chooser) -> Pair:
    """A main clause with a "because" or "although" clause, whose pronoun may refer back."""
    conjunction = c.dice.weighted({("because", "weil"): 3.0, ("although", "obwohl"): 1.0})
    main = c.clause(tense=c.dice.weighted({"past": 3, "pres": 1}), light=c.dice.chance(0.6))
    kind = c.dice.weighted({"state": 3, "quality": 4, "clause": 4})
    sub = None
    if kind == "quality" and main.verb.en in ("buy", "sell", "need", "eat", "repair", "read"):
        sub = _quality(c, main.accusative if not main.kein else None, main.tense)
    elif kind == "state" and "stative" not in main.verb.flags:
        sub = _state(c, main.subject, main.tense)
    if sub is None:
        sub = c.clause("TDGIMP", light=True, tense=main.tense)
    return _join(c, main, conjunction, sub)


def condition(c: Chooser) -> Pair:
    """An "if" clause with a main clause in the future or with a modal verb."""
    if c.dice.chance(0.25):
        sub = _weather_clause(c, "pres")
        sub.time = c.time("fut") if c.dice.chance(0.4) else None
    elif c.dice.chance(0.35):
        sub = _be(c, c.name(), _adjective_phrase(c, c.dice.pick(lex.STATES)))
    else:
        sub = c.clause("TDGIM", tense="pres", light=True)
    main = c.clause("TDGIMV", tense="fut", light=True, negative=0)
    return _join(c, main, ("if", "wenn"), sub)


def _weather_clause(c: Chooser, tense: str) -> Clause:
    phrase = marked(c.keys, "it/1", "es/1")
    subject = NounPhrase(phrase.en, phrase.en, {"nom": phrase.de}, "n", "pronoun")
    return Clause(c.keys, subject, c.dice.pick((lex.VERB["regnen"], lex.VERB["schneien"])), tense)


def weather(c: Chooser) -> Pair:
    """A sentence about rain or snow."""
    tense = c.dice.weighted({"past": 3, "fut": 3, "pres": 1, "prog": 1})
    clause = _weather_clause(c, tense)
    if tense in ("past", "fut"):
        clause.time = c.time(tense)
        clause.place = c.location(("CITY",)) if c.dice.chance(0.7) else None
    elif tense == "pres":
        clause.frequency = c.marked(c.dice.pick(lex.FREQUENCIES))
        clause.place = c.location(("CITY",))
    else:
        clause.place = c.location(("CITY",))
    if c.dice.chance(0.2):
        clause.negation = 0 if clause.frequency or tense == "prog" else c.keys()
    return _statement(_front(c, clause))


def content(c: Chooser) -> Pair:
    """A statement or question reported in a "that" or "whether" clause."""
    verb = c.verb("C")
    conjunction, word = verb.frame.split()[1:]
    main = Clause(c.keys, c.subject(), verb)
    sub = c.clause(light=c.dice.chance(0.5), tense="" if conjunction == "dass" else "past", negative=0.1)
    if verb.de == "wissen" and c.dice.chance(0.4):
        conjunction, word, main.negation = "ob", "whether", c.keys()
    key = (c.keys(),)
    en = [*english(main), Tok(word, key), *english(sub)]
    return finish(en, [*german(main, "second"), COMMA, Tok(conjunction, key), *german(sub, "final")], ".")


def _actions(noun: lex.Noun, other: lex.Verb) -> list[lex.Verb]:
    """Return the transitive verbs of action, except `other`, that take the noun as their object."""
    verbs = [verb for verb in lex.VERBS if verb.frame == "T" and "stative" not in verb.flags and verb is not other]
    return [verb for verb in verbs if any(tag in noun.tags for tag in verb.objects)]


def _other_verb(c: Chooser, frames: str, tense: str, other: lex.Verb) -> lex.Verb:
    verb = other
    while verb is other:
        verb = c.verb(frames, stative=tense == "pres")
    return verb


def _relative(c: Chooser, head: NounPhrase, main: Clause) -> Phrase:
    """Make a relative clause on the head that has only one reading and fits the verb and tense of `main`."""
    noun, empty = head.noun, gap(head)
    assert noun is not None
    tense = "past" if main.tense == "past" or c.dice.chance(0.7) else "pres"
    light = c.dice.chance(0.6)
    if "person" not in noun.tags:
        verb = c.dice.pick(_actions(noun, main.verb))
        return relative_clause(head, "acc", c.clause(verb=verb, accusative=empty, tense=tense, light=light))
    # "Die Frau, die Anna besucht" would have two readings; only a masculine head shows its case.
    role = c.dice.weighted({"nom": 5, "dat": 2, "acc": 2 if head.slot == "m" else 0})
    if role == "nom":
        verb = _other_verb(c, "TDGILMVP", tense, main.verb)
        clause = c.clause(verb=verb, subject=empty, tense=tense, light=light)
    elif role == "dat":
        verb = _other_verb(c, "D", tense, main.verb)
        clause = c.clause(verb=verb, dative=empty, tense=tense, light=True)
    else:
        verb = c.dice.pick(_actions(noun, main.verb))
        clause = c.clause(verb=verb, accusative=empty, tense=tense, light=True)
    return relative_clause(head, role, clause)


def _head(c: Chooser, nouns: tuple[lex.Noun, ...]) -> NounPhrase:
    noun = c.fresh(nouns)
    np = noun_phrase(c.keys, noun, "the", plural=noun.en_plural != "-" and c.dice.chance(0.2))
    np.owner = "they" if np.plural else {"m": "he", "f": "she", "n": ""}[np.slot]
    return np


def relative_subject(c: Chooser) -> Pair:
    """A main clause whose subject has a relative clause."""
    if c.dice.chance(0.35):
        head = _head(c, tuple(n for n in lex.nouns_tagged("goods") if n.kind in lex.QUALITIES_BY_KIND))
        assert head.noun is not None
        adjective = c.dice.pick(lex.QUALITIES_BY_KIND[head.noun.kind])
        main = _be(c, head, _adjective_phrase(c, adjective), c.dice.pick(("pres", "past")))
    else:
        head = _head(c, tuple(n for n in lex.nouns_tagged("person") if n.kind == "person"))
        if c.dice.chance(0.3):
            main = _be(c, head, _adjective_phrase(c, c.dice.pick(lex.STATES)))
        else:
            main = c.clause("TDILMV", subject=head, light=True)
    relative = _relative(c, head, main)
    nominative = [*head.cases["nom"], *relative.de]
    main.subject = replace(head, en_subject=[*head.en_subject, *relative.en], cases={"nom": nominative})
    return _statement(main)


def relative_object(c: Chooser) -> Pair:
    """A main clause whose object has a relative clause, which German puts after the verb."""
    verb = c.verb("T")
    while verb.en == "drink":
        verb = c.verb("T")
    head = _head(c, tuple(n for n in lex.nouns_tagged(*verb.objects) if n.kind != "kin" and _actions(n, verb)))
    main = c.clause(verb=verb, accusative=head, light=True, negative=0)
    if main.tense == "perf":
        main.tense = "past"
    if main.tense == "past":
        main.time = c.time("past") if c.dice.chance(0.4) else None
        main.front = "time" if main.time else ""
    main.tail = _relative(c, head, main)
    return _statement(main)


def yes_no(c: Chooser) -> Pair:
    """A question to be answered by yes or no."""
    clause = c.clause()
    return finish(english(clause, inverted=True), german(clause, "first"), "?")


def _ask(clause: Clause, opener: Phrase) -> Pair:
    return finish([*opener.en, *english(clause, inverted=True)], [*opener.de, *german(clause, "first")], "?")


def who(c: Chooser) -> Pair:
    """A question for a person: subject, accusative or dative object."""
    role = c.dice.pick(("nom", "acc", "dat"))
    key = (c.keys(),)
    word, pronoun = {"nom": ("who", "wer"), "acc": ("whom", "wen"), "dat": ("whom", "wem")}[role]
    opener = Phrase([Tok(word, key)], [Tok(pronoun, key)])
    empty = NounPhrase([], [], {"nom": [], "acc": [], "dat": []}, "m", "gap")
    tense = c.dice.weighted({"past": 3, "fut": 1, "pres": 1})
    if role == "nom":
        subject = replace(empty, en_subject=opener.en, cases={"nom": opener.de})
        return _statement(c.clause("TDGILMP", subject=subject, tense=tense, negative=0.05), "?")
    if role == "dat":
        return _ask(c.clause("D", dative=empty, tense=tense, negative=0), opener)
    verb = c.dice.pick([verb for verb in lex.VERBS if verb.frame == "T" and "person" in verb.objects])
    tense = "pres" if "stative" in verb.flags else tense
    return _ask(c.clause(verb=verb, accusative=empty, tense=tense, negative=0), opener)


def what(c: Chooser) -> Pair:
    """A question for a thing: what, which or how many."""
    verb = c.dice.pick([verb for verb in lex.VERBS if verb.frame == "T" and "person" not in verb.objects])
    kind = c.dice.pick(("what", "which", "how many"))
    countable = [noun for noun in lex.nouns_tagged(*verb.objects) if noun.en_plural != "-"]
    empty = NounPhrase([], [], {"acc": []}, "n", "gap")
    if kind == "what" or not countable:
        opener = c.marked(("what/1", "was/1"))
    elif kind == "which":
        np = noun_phrase(c.keys, c.fresh(countable), "which", plural=c.dice.chance(0.2))
        opener = Phrase(np.en_object, np.cases["acc"])
    else:
        np = noun_phrase(c.keys, c.fresh(countable), "", plural=True)
        words = c.marked(("how/1 many/2", "wie/1 viele/2"))
        opener = Phrase([*words.en, *np.en_object], [*words.de, *np.cases["acc"]])
    tense = "pres" if "stative" in verb.flags else c.dice.weighted({"past": 3, "fut": 1})
    return _ask(c.clause(verb=verb, accusative=empty, tense=tense, negative=0), opener)


def circumstance(c: Chooser) -> Pair:
    """A question for a time, place, goal or reason."""
    kind = c.dice.pick(("when/1 wann/1", "where/1 wo/1", "where/1 wohin/1", "why/1 warum/1"))
    en, de = kind.split()
    opener = c.marked((en, de))
    tense = c.dice.weighted({"past": 3, "fut": 1})
    if de == "wohin/1":
        clause = c.clause("MV", tense=tense, light=True, negative=0)
        clause.complement = None
    elif de == "wo/1":
        verb = c.dice.pick([verb for verb in lex.VERBS if verb.places and verb.frame in ("T", "I", "L")])
        tense = "pres" if "stative" in verb.flags else tense
        clause = c.clause(verb=verb, tense=tense, light=True, negative=0)
        clause.complement = None
    elif de == "wann/1":
        clause = c.clause("TDGIMV", tense=tense, light=True, negative=0)
    else:
        clause = c.clause("TDGIMVLP", tense=c.dice.pick(("past", "pres")), light=True, negative=0.3)
    return _ask(clause, opener)


def purpose(c: Chooser) -> Pair:
    """A main clause with an infinitive of purpose (um ... zu) or after "try"."""
    if c.dice.chance(0.35):
        main = Clause(c.keys, c.subject(), lex.VERB["versuchen"], c.dice.pick(("past", "pres")))
        opener: list[Tok] = []
    else:
        main = c.clause(
            "MV",
            subject=c.subject(),
            light=True,
            negative=0,
            tense=c.dice.weighted({"past": 3, "fut": 1, "pres": 1}),
        )
        opener = [Tok("um")]
    main.negation = 0
    verbs = [verb for verb in lex.VERBS if verb.frame in ("T", "G", "D") and not verb.flags]
    # Nobody should "try to try on" a hat.
    verbs = [verb for verb in verbs if verb.en.split()[0] != main.verb.en]
    aim = infinitive_clause(
        c.clause(verb=c.dice.pick(verbs), subject=main.subject, tense="pres", light=True, negative=0)
    )
    main.tail = Phrase(aim.en, [COMMA, *opener, *aim.de])
    if main.tense == "past" and c.dice.chance(0.3):
        main.time, main.front = c.time("past"), "time"
    return _statement(main)


def comparison(c: Chooser) -> Pair:
    """Two persons or things compared."""
    if c.dice.chance(0.6):
        words = ["old", "young", "big", "small", "strong", "clever", "friendly"]
        first, second = (c.name() if c.dice.chance(0.5) else c.person(plural=0.05) for _ in range(2))
    else:
        kind = c.dice.pick(("vehicle", "clothes", "furniture"))
        words = [a.en for a in lex.ADJECTIVES_BY_KIND[kind] if a.de_comparative]
        first, second = (c.thing((kind,), plural=0.1, plain=True) for _ in range(2))
    adjective = lex.ADJECTIVES[c.dice.pick(words)]
    key, link = c.keys(), c.keys()
    if c.dice.chance(0.75):
        en = [*(Tok(word, (key,)) for word in adjective.en_comparative.split()), Tok("than", (link,))]
        de = [Tok(adjective.de_comparative, (key,)), Tok("als", (link,))]
    else:
        start = c.keys()
        en = [Tok("as", (start,)), Tok(adjective.en, (key,)), Tok("as", (link,))]
        de = [Tok("so", (start,)), Tok(adjective.de, (key,)), Tok("wie", (link,))]
    predicate = Phrase([*en, *second.en_object], [*de, *second.cases["nom"]])
    clause = _be(c, first, predicate, c.dice.weighted({"pres": 4, "past": 1}))
    clause.negation = c.keys() if c.dice.chance(0.2) else 0
    return _statement(clause)


def measure(c: Chooser) -> Pair:
    """An age or a price in digits."""
    if c.dice.chance(0.5):
        subject = c.name() if c.dice.chance(0.6) else c.person("adult", plural=0)
        number = c.dice.between(18, 89)
        predicate = c.marked((f"{number}/1 years/2 old/3", f"{number}/1 Jahre/2 alt/3"))
        return _statement(_be(c, subject, predicate, c.dice.weighted({"pres": 4, "past": 1})))
    goods = [noun for noun in lex.nouns_tagged("goods") if noun.kind not in ("place", "vehicle", "animal")]
    noun = c.fresh(goods)
    number = c.dice.between(2, 9 if noun.kind in ("food", "meal", "text", "flower") else 90)
    subject = noun_phrase(c.keys, noun, c.dice.pick(("the", "this")))
    clause = Clause(c.keys, subject, lex.VERB["kosten"], c.dice.weighted({"pres": 3, "past": 1}))
    clause.complement = c.marked((f"{number}/1 euros/2", f"{number}/1 Euro/2"))
    return _statement(clause)


def description(c: Chooser) -> Pair:
    """A state, quality or whereabouts with a form of "be"."""
    tense = c.dice.weighted({"pres": 3, "past": 2})
    kind = c.dice.weighted({"state": 4, "quality": 3, "place": 3, "surface": 4, "owner": 3})
    if kind in ("quality", "surface"):
        nouns = [n for n in lex.NOUNS.values() if n.kind in lex.QUALITIES_BY_KIND]
        nouns = [n for n in nouns if "lay" in n.tags] if kind == "surface" else nouns
        clause = _thing_description(c, c.fresh(nouns), kind, tense)
    elif kind == "owner":
        subject = noun_phrase(c.keys, c.fresh(lex.nouns_tagged("goods")), "this")
        owner = c.object_person("", dative=True)
        clause = Clause(c.keys, subject, lex.VERB["gehören"], "pres")
        # "Der Hut gehört mir nicht", but "Der Hut gehört nicht dem Bäcker".
        if owner.kind == "pronoun":
            clause.dative = owner
        else:
            clause.complement = Phrase(owner.en_object, owner.cases["dat"])
    else:
        adjectives = [*lex.STATES, *(lex.ADJECTIVES[word] for word in ("old", "young", "clever", "friendly"))]
        places = ("garden", "kitchen", "office", "school", "park", "museum", "station", "HOME", "CITY")
        predicate = c.location(places) if kind == "place" else _adjective_phrase(c, c.dice.pick(adjectives))
        clause = _be(c, c.subject(), predicate, tense)
        if tense == "past" and c.dice.chance(0.4):
            clause.time = c.time("past")
    clause.negation = c.keys() if c.dice.chance(0.2) else 0
    if c.dice.chance(0.25):
        return finish(english(clause, inverted=True), german(clause, "first"), "?")
    return _statement(_front(c, clause))


def _thing_description(c: Chooser, noun: lex.Noun, kind: str, tense: str) -> Clause:
    determiner = c.dice.weighted({"the": 4, "this": 1, "my": 1, "our": 1})
    plural = noun.en_plural != "-" and c.dice.chance(0.2)
    subject = noun_phrase(c.keys, noun, determiner, plural=plural)
    if kind == "surface":
        return Clause(c.keys, subject, lex.VERB["liegen"], tense, complement=c.surface(motion=False))
    return _be(c, subject, _adjective_phrase(c, c.dice.pick(lex.QUALITIES_BY_KIND[noun.kind])), tense)


def request(c: Chooser) -> Pair:
    """A request to a person called by name, which makes the German familiar form certain."""
    name = c.name()
    verb = c.dice.pick([verb for verb in lex.VERBS if verb.imperative])
    subject = replace(name, owner="")
    phrase = imperative(c.clause(verb=verb, subject=subject, tense="pres", light=True, negative=0))
    return finish([*name.en_subject, COMMA, *phrase.en], [*name.en_subject, COMMA, *phrase.de], "!")


def coordination(c: Chooser) -> Pair:
    """Two main clauses joined by "and" or "but"."""
    tense = c.dice.weighted({"past": 4, "pres": 1, "fut": 1})
    first = c.clause("TDGIMVX", tense=tense, light=c.dice.chance(0.6))
    second = c.clause("TDGIMVX", tense=tense, light=True)
    word = c.dice.pick((("and", "und"), ("but", "aber")))
    key = (c.keys(),)
    comma = [COMMA] if word[0] == "but" else []
    en = [*english(first), COMMA, Tok(word[0], key), *english(second)]
    de = [*german(first, "second"), *comma, Tok(word[1], key), *german(second, "second")]
    return finish(en, de, ".")


PATTERNS: dict[Callable[[Chooser], Pair], float] = {
    simple: 34,
    topic: 2,
    reason: 9,
    condition: 5,
    weather: 1,
    content: 6,
    relative_subject: 6,
    relative_object: 6,
    yes_no: 6,
    who: 3,
    what: 3,
    circumstance: 4,
    purpose: 5,
    comparison: 3,
    measure: 2,
    description: 7,
    request: 4,
    coordination: 5,
}


def sentence(dice: Dice) -> Pair:
    """Return one random sentence pair."""
    return dice.weighted(PATTERNS)(Chooser(dice))
