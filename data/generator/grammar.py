"""Inflection and word order of the sample corpus: makes English and German tokens of phrases and clauses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .lexicon import VERB, Adjective, Modal, Noun, Verb

CASES = ("nom", "acc", "dat", "gen")
# Verbs whose past is the preterite even in speech; all others take the perfect.
_PRETERITE = {"sein": "war", "liegen": "lag"}
_GENITIVE_ES = ("Mann", "Gast", "Kind")

# Endings by case, in the order masculine, feminine, neuter, plural.
_SLOTS = "mfnp"
_STRONG = {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en", "gen": "en er en er"}
_WEAK = {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en", "gen": "en en en en"}
_MIXED = {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en", "gen": "en en en en"}
_ADJECTIVE_ENDINGS = {"strong": _STRONG, "weak": _WEAK, "mixed": _MIXED}
_DIES_ENDINGS = {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en", "gen": "es er es er"}
_EIN_ENDINGS = {"nom": "- e - e", "acc": "en e - e", "dat": "em er em en", "gen": "es er es er"}
_DEFINITE = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem den"}
_DEFINITE["gen"] = "des der des der"
_RELATIVE = {**_DEFINITE, "dat": "dem der dem denen"}
_CONTRACTIONS = {
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("an", "dem"): "am",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
    ("von", "dem"): "vom",
}


class Tok(NamedTuple):
    """A word and the alignment keys that it shares with its counterparts in the other language."""

    text: str
    keys: tuple[int, ...] = ()


COMMA = Tok(",")


@dataclass
class Phrase:
    """The same content as English and as German tokens."""

    en: list[Tok]
    de: list[Tok]


@dataclass
class NounPhrase:
    """A noun phrase, name or pronoun with its case forms; a gap (of a relative clause) has no words."""

    en_subject: list[Tok]
    en_object: list[Tok]
    cases: dict[str, list[Tok]]
    slot: str
    kind: str
    person: int = 3
    noun: Noun | None = None
    owner: str = ""
    tail: Phrase | None = None

    @property
    def plural(self) -> bool:
        """Whether verbs agree with it in the plural."""
        return self.slot == "p"

    @property
    def is_person(self) -> bool:
        """Whether it is a name or a noun for a person."""
        return self.noun is None or "person" in self.noun.tags

    @property
    def third_singular(self) -> bool:
        """Whether English verbs take their third person -s."""
        return self.person == 3 and not self.plural


class Determiner(NamedTuple):
    """A determiner: English singular and plural, German stem and endings, adjective endings after it."""

    en: str
    en_plural: str
    de: str
    endings: dict[str, str] | None
    adjectives: str
    definite: bool


DETERMINERS = {
    "the": Determiner("the", "the", "", _DEFINITE, "weak", True),
    "this": Determiner("this", "these", "dies", _DIES_ENDINGS, "weak", True),
    "every": Determiner("every", "every", "jed", _DIES_ENDINGS, "weak", True),
    "which": Determiner("which", "which", "welch", _DIES_ENDINGS, "weak", True),
    "a": Determiner("a", "a", "ein", _EIN_ENDINGS, "mixed", False),
    "no": Determiner("a", "any", "kein", _EIN_ENDINGS, "mixed", False),
    "my": Determiner("my", "my", "mein", _EIN_ENDINGS, "mixed", True),
    "our": Determiner("our", "our", "unser", _EIN_ENDINGS, "mixed", True),
    "his": Determiner("his", "his", "sein", _EIN_ENDINGS, "mixed", True),
    "her": Determiner("her", "her", "ihr", _EIN_ENDINGS, "mixed", True),
    "many": Determiner("many", "many", "viel", _STRONG, "strong", False),
    "": Determiner("", "", "", None, "strong", False),
}


def _cell(table: dict[str, str], case: str, slot: str) -> str:
    return table[case].split()[_SLOTS.index(slot)].replace("-", "")


def adjective_ending(declension: str, case: str, slot: str) -> str:
    """Return the ending of an attributive adjective.

    `declension` is strong, weak or mixed; `slot` is the gender m, f or n, or p for the plural.
    """
    return _cell(_ADJECTIVE_ENDINGS[declension], case, slot)


def determiner_form(name: str, case: str, slot: str) -> str:
    """Return the German form of a determiner, given by its English name."""
    determiner = DETERMINERS[name]
    return determiner.de + _cell(determiner.endings, case, slot) if determiner.endings else ""


def relative_pronoun(case: str, slot: str) -> str:
    """Return the German relative pronoun that agrees with a head in `slot`."""
    return _cell(_RELATIVE, case, slot)


def decline_noun(noun: Noun, case: str, plural: bool) -> str:
    """Return a German noun in the given case, with weak masculine and dative plural endings."""
    if plural:
        return noun.de_plural + ("n" if case == "dat" and noun.de_plural[-1] not in "ns" else "")
    if noun.weak and case != "nom":
        return noun.weak
    if case == "gen" and noun.gender != "f":
        return noun.de + ("es" if noun.de in _GENITIVE_ES else "s")
    return noun.de


def contract(preposition: str, article: str) -> str | None:
    """Return the contraction of a preposition with a definite article ("im"), if there is one."""
    return _CONTRACTIONS.get((preposition, article))


def present_form(verb: Verb, person: int, plural: bool) -> str:
    """Return the German finite present form, without a separable particle."""
    if verb.de == "sein":
        return "sind" if plural else {1: "bin", 3: "ist"}[person]
    if plural:
        return verb.de
    if person == 3 or verb.de == "wissen":
        return verb.de_third
    return verb.de.removesuffix("n").removesuffix("e") + "e"


def zu_infinitive(verb: Verb) -> list[str]:
    """Return the infinitive with "zu", which goes inside a separable verb ("anzurufen")."""
    return [f"{verb.particle}zu{verb.de}"] if verb.particle else ["zu", verb.de]


def indefinite_article(word: str) -> str:
    """Return "a" or "an"; no word of the lexicon has a spelling that misleads."""
    return "an" if word[0] in "aeiou" else "a"


class Keys:
    """Hands out alignment keys that are unique within a sentence."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last += 1
        return self._last


def marked(keys: Keys, en: str, de: str) -> Phrase:
    """Make a phrase of words marked as in "last/1 week/2", which are aligned where numbers are equal."""
    numbered: dict[str, int] = {}

    def tokens(text: str) -> list[Tok]:
        made = []
        for item in text.split():
            word, _, number = item.partition("/")
            if number and number not in numbered:
                numbered[number] = keys()
            made.append(Tok(word, (numbered[number],) if number else ()))
        return made

    return Phrase(tokens(en), tokens(de))


def noun_phrase(
    keys: Keys,
    noun: Noun,
    determiner: str,
    *,
    plural: bool = False,
    adjective: Adjective | None = None,
    count: tuple[str, str] | None = None,
    possessor: str = "",
    negation: int = 0,
) -> NounPhrase:
    """Build a noun phrase; `count` is a number word pair, `possessor` a name, `negation` the key of "not"."""
    form = DETERMINERS[determiner]
    det, adj, head = keys(), keys(), keys()
    slot = "p" if plural else noun.gender
    det_keys = (det, negation) if negation else (det,)
    en = [Tok(adjective.en, (adj,))] if adjective else []
    en.append(Tok(noun.en_plural if plural else noun.en, (head,)))
    leading = form.en_plural if plural or (noun.en_plural == "-" and determiner == "no") else form.en
    leading = indefinite_article(en[0].text) if leading == "a" else leading
    leading = count[0] if count else f"{possessor}'s" if possessor else leading
    if leading:
        en.insert(0, Tok(leading, (det,)))
    cases = {}
    for case in CASES:
        word = f"{possessor}s" if possessor else determiner_form(determiner, case, slot)
        word = count[1] if count else word
        de = [Tok(word, det_keys)] if word else []
        if adjective:
            de.append(Tok(adjective.stem + adjective_ending(form.adjectives, case, slot), (adj,)))
        cases[case] = [*de, Tok(decline_noun(noun, case, plural), (head,))]
    kind = "definite" if form.definite or possessor else "indefinite"
    return NounPhrase(en, en, cases, slot, kind, noun=noun)


def genitive_phrase(owner: NounPhrase, owned: NounPhrase, mark: int) -> NounPhrase:
    """Join "the baker" and the bare noun "key" into "the baker's key" / "der Schlüssel des Bäckers".

    `owned` must be definite; its English article is dropped, its German one is aligned with the owner's 's.
    """
    en = [*owner.en_subject[:-1]]
    last = owner.en_subject[-1]
    en += [Tok(f"{last.text}'s", (*last.keys, mark)), *owned.en_subject[1:]]
    cases = {}
    for case in CASES:
        article, *rest = owned.cases[case]
        cases[case] = [Tok(article.text, (mark,)), *rest, *owner.cases["gen"]]
    return NounPhrase(en, en, cases, owned.slot, "definite", noun=owned.noun)


def prepositional_phrase(keys: Keys, en: str, de: str, np: NounPhrase, case: str) -> Phrase:
    """Build a prepositional phrase, contracting the German preposition with a bare definite article."""
    key = keys()
    article, *rest = np.cases[case]
    joined = contract(de, article.text)
    german = [Tok(joined, (key, *article.keys)), *rest] if joined else [Tok(de, (key,)), article, *rest]
    return Phrase([*(Tok(word, (key,)) for word in en.split()), *np.en_object], german)


@dataclass
class Clause:
    """A clause as a set of filled roles; `english` and `german` put them in the order each language needs.

    `tense` is pres, past, prog (German "gerade"), perf (with "already" or "yet") or fut. `complement` is
    whatever belongs closest to the German verb: a direction, prepositional object or predicate. `tail` comes
    after the verb in both languages. `front` names the role that opens a statement instead of the subject.
    """

    keys: Keys
    subject: NounPhrase
    verb: Verb
    tense: str = "pres"
    modal: Modal | None = None
    negation: int = 0
    kein: bool = False
    accusative: NounPhrase | None = None
    dative: NounPhrase | None = None
    beneficiary: Phrase | None = None
    company: Phrase | None = None
    place: Phrase | None = None
    time: Phrase | None = None
    frequency: Phrase | None = None
    complement: Phrase | None = None
    tail: Phrase | None = None
    front: str = ""
    please: list[Tok] = field(default_factory=list)
    verb_key: int = field(init=False)
    aux_key: int = field(init=False)
    adverb_key: int = field(init=False)

    def __post_init__(self) -> None:
        self.verb_key, self.aux_key, self.adverb_key = self.keys(), self.keys(), self.keys()


def _tokens(text: str, *keys: int) -> list[Tok]:
    return [Tok(word, keys) for word in text.split()]


def _to_be(subject: NounPhrase, past: bool) -> str:
    if subject.plural:
        return "were" if past else "are"
    if subject.person == 1:
        return "was" if past else "am"
    return "was" if past else "is"


def _english_modal(clause: Clause, needs_do: bool) -> tuple[list[Tok], list[Tok]]:
    modal, key, base = clause.modal, clause.aux_key, _tokens(clause.verb.en, clause.verb_key)
    assert modal is not None
    past, third = clause.tense == "past", clause.subject.third_singular
    finite = modal.en_past if past else modal.en_third if third else modal.en_other
    if not modal.takes_to:
        return [Tok(finite, (key,))], base
    if needs_do:
        return [Tok("did" if past else "does" if third else "do")], [*_tokens(modal.name, key), *base]
    return [], [Tok(finite, (key,)), Tok("to", (key,)), *base]


def english_verb(clause: Clause, inverted: bool) -> tuple[list[Tok], list[Tok]]:
    """Return the auxiliary (empty if the verb itself is finite) and the rest of the English verb."""
    verb, subject, tense, key = clause.verb, clause.subject, clause.tense, clause.verb_key
    needs_do = inverted or bool(clause.negation)
    if clause.modal:
        return _english_modal(clause, needs_do)
    if tense == "fut":
        return [Tok("will", (clause.aux_key,))], _tokens(verb.en, key)
    if verb.en in ("be", "lie"):
        return [Tok(_to_be(subject, tense == "past"), (key,))], []
    if tense == "prog":
        return [Tok(_to_be(subject, False))], _tokens(verb.en_ing, key)
    if tense == "perf":
        have = Tok("has" if subject.third_singular else "have", (clause.aux_key,))
        return [have], _tokens(verb.en_participle, key)
    if needs_do:
        do = "did" if tense == "past" else "does" if subject.third_singular else "do"
        return [Tok(do, (clause.aux_key,))], _tokens(verb.en, key)
    present = verb.en_third if subject.third_singular else verb.en
    return [], _tokens(verb.en_past if tense == "past" else present, key)


def english(clause: Clause, *, inverted: bool = False) -> list[Tok]:
    """Put a clause in English order; `inverted` is the order of questions."""
    aux, rest = english_verb(clause, inverted)
    subject = clause.subject.en_subject
    if clause.negation:
        negative = Tok("not", (clause.negation,))
        if aux and aux[0].text == "can":
            aux = [Tok("cannot", (*aux[0].keys, clause.negation))]
        else:
            aux = [*aux, negative] if not inverted else aux
            subject = [*subject, negative] if inverted else subject
    words = [*_english_front(clause), *(aux + subject if inverted else subject + aux)]
    words += clause.frequency.en if clause.frequency and clause.front != "frequency" else []
    if clause.tense == "perf" and not clause.negation:
        words.append(Tok("already", (clause.adverb_key,)))
    words += rest
    return words + _english_end(clause)


def _english_front(clause: Clause) -> list[Tok]:
    if clause.front == "accusative" and clause.accusative:
        return [*clause.accusative.en_object, COMMA]
    fronted = getattr(clause, clause.front) if clause.front else None
    if fronted is None:
        return []
    return [*fronted.en, COMMA] if clause.front == "place" else fronted.en


def _english_end(clause: Clause) -> list[Tok]:
    words: list[Tok] = []
    if clause.dative:
        words += clause.dative.en_object
    if clause.accusative and clause.front != "accusative":
        words += clause.accusative.en_object
    for role in ("beneficiary", "complement", "company", "place", "time"):
        phrase = getattr(clause, role)
        if phrase and role != clause.front:
            words += phrase.en
    if clause.tense == "perf" and clause.negation:
        words.append(Tok("yet", (clause.adverb_key,)))
    return words + (clause.tail.en if clause.tail else [])


def german_verb(clause: Clause) -> tuple[list[Tok], list[Tok]]:
    """Return the finite German verb and the non-finite remainder (participle or infinitive)."""
    verb, subject, key = clause.verb, clause.subject, (clause.verb_key,)
    aux_key = (clause.aux_key,)
    infinitive = [Tok(verb.particle + verb.de, key)]
    if clause.modal:
        forms = clause.modal.de_past if clause.tense == "past" else clause.modal.de_present
        return [Tok(forms[subject.plural], aux_key)], infinitive
    if clause.tense == "fut":
        future = "werden" if subject.plural else "werde" if subject.person == 1 else "wird"
        return [Tok(future, aux_key)], infinitive
    if clause.tense == "past" and verb.de in _PRETERITE:
        return [Tok(_PRETERITE[verb.de] + ("en" if subject.plural else ""), key)], []
    if clause.tense in ("past", "perf"):
        if verb.aux == "sein":
            finite = present_form(VERB["sein"], subject.person, subject.plural)
        else:
            finite = "haben" if subject.plural else "habe" if subject.person == 1 else "hat"
        return [Tok(finite, aux_key)], [Tok(verb.de_participle, key)]
    return [Tok(present_form(verb, subject.person, subject.plural), key)], []


def _german_time(clause: Clause) -> list[Tok]:
    words = clause.time.de if clause.time and clause.front != "time" else []
    if clause.frequency and clause.front != "frequency":
        words = words + clause.frequency.de
    if clause.tense == "prog":
        words = [*words, Tok("gerade")]
    if clause.tense == "perf":
        words = [*words, Tok("noch" if clause.negation else "schon", (clause.adverb_key,))]
    return words


def german_pronouns(clause: Clause) -> list[Tok]:
    """Return the pronouns among the objects, of which a clause has at most one."""
    objects = ((clause.dative, "dat"), (clause.accusative, "acc"))
    return [token for np, case in objects if np and np.kind == "pronoun" for token in np.cases[case]]


def german_middle(clause: Clause) -> list[Tok]:
    """Order everything between the finite verb (or conjunction) and the end of the German clause.

    Pronouns are left to `german_pronouns`. Definite objects come before "nicht" and, under negation, before
    the time as well; persons also come before adverbs of frequency. Indefinite accusatives come after time
    and place, indefinite datives after the time.
    """
    accusative = clause.accusative if clause.front != "accusative" else None
    early: list[Tok] = []
    middle: list[Tok] = []
    late: list[Tok] = []
    for np, case in ((clause.dative, "dat"), (accusative, "acc")):
        if np is None or np.kind == "pronoun":
            continue
        if np.kind == "definite" and (case == "dat" or clause.negation or (clause.frequency and np.is_person)):
            early += np.cases[case]
        elif np.kind == "indefinite" and case == "acc":
            late += np.cases[case]
        else:
            middle += np.cases[case]
    words = clause.please + early + _german_time(clause)
    nicht = [Tok("nicht", (clause.negation,))] if clause.negation and not clause.kein else []
    company = clause.company.de if clause.company else []
    place = clause.place.de if clause.place and clause.front != "place" else []
    words += nicht + company + middle + place + late
    words += clause.beneficiary.de if clause.beneficiary else []
    return words + (clause.complement.de if clause.complement else [])


def german(clause: Clause, order: str) -> list[Tok]:
    """Put a clause in German order: "second" (statement), "first" (question) or "final" (subordinate)."""
    finite, rest = german_verb(clause)
    subject, pronouns = clause.subject.cases["nom"], german_pronouns(clause)
    # "Gestern hat mich ein Gast besucht", but "Gestern hat der Gast mich besucht".
    first = [*pronouns, *subject] if clause.subject.kind == "indefinite" else [*subject, *pronouns]
    middle = german_middle(clause)
    tail = clause.tail.de if clause.tail else []
    particle = clause.verb.particle if not rest else ""
    if order == "final":
        joined = [Tok(particle + finite[0].text, finite[0].keys)]
        return [*first, *middle, *rest, *joined, *tail]
    end = rest or ([Tok(particle, finite[0].keys)] if particle else [])
    if order == "first" or clause.front:
        return [*_german_front(clause), *finite, *first, *middle, *end, *tail]
    return [*subject, *finite, *pronouns, *middle, *end, *tail]


def _german_front(clause: Clause) -> list[Tok]:
    if clause.front == "accusative" and clause.accusative:
        return clause.accusative.cases["acc"]
    return getattr(clause, clause.front).de if clause.front else []


def gap(head: NounPhrase) -> NounPhrase:
    """Return a phrase without words that agrees like the head of a relative clause."""
    cases: dict[str, list[Tok]] = {case: [] for case in CASES}
    return NounPhrase([], [], cases, head.slot, "gap", noun=head.noun, owner=head.owner)


def relative_clause(head: NounPhrase, role: str, clause: Clause) -> Phrase:
    """Turn a clause with a gap into a relative clause on `head`; `role` is the case of the gap."""
    key = clause.keys()
    word = "that" if not head.is_person else "who" if role == "nom" else "whom"
    opener = Tok(relative_pronoun(role, head.slot), (key,))
    return Phrase([Tok(word, (key,)), *english(clause)], [COMMA, opener, *german(clause, "final"), COMMA])


def infinitive_clause(clause: Clause) -> Phrase:
    """Turn a clause into an infinitive with "to" and "zu", without its subject."""
    en = [Tok("to"), *_tokens(clause.verb.en, clause.verb_key), *_english_end(clause)]
    verb = [Tok(word, (clause.verb_key,) if word != "zu" else ()) for word in zu_infinitive(clause.verb)]
    return Phrase(en, [*german_pronouns(clause), *german_middle(clause), *verb])


def imperative(clause: Clause) -> Phrase:
    """Turn a clause into a request to one familiar person, without naming the person."""
    verb, please = clause.verb, Tok("please", (clause.adverb_key,))
    clause.please = [Tok("bitte", please.keys)]
    key = (clause.verb_key,)
    particle = [Tok(verb.particle, key)] if verb.particle else []
    en = [please, *_tokens(verb.en, clause.verb_key), *_english_end(clause)]
    middle = [*german_pronouns(clause), *german_middle(clause)]
    return Phrase(en, [Tok(verb.imperative, key), *middle, *particle])


class Pair(NamedTuple):
    """A finished sentence pair with its word alignment."""

    en: str
    de: str
    alignment: tuple[tuple[int, int], ...]


def _finish(tokens: list[Tok], end: str) -> tuple[str, list[tuple[int, ...]]]:
    words: list[str] = []
    keys: list[tuple[int, ...]] = []
    for token in tokens:
        if token.text != ",":
            words.append(token.text)
            keys.append(token.keys)
        elif not words[-1].endswith(","):
            words[-1] += ","
    words[-1] = words[-1].removesuffix(",") + end
    words[0] = words[0][0].upper() + words[0][1:]
    return " ".join(words), keys


def finish(en: list[Tok], de: list[Tok], end: str) -> Pair:
    """Join tokens into sentences with final punctuation and read the alignment off the shared keys."""
    en_text, en_keys = _finish(en, end)
    de_text, de_keys = _finish(de, end)
    alignment = tuple(
        (i, j)
        for i, source in enumerate(en_keys)
        for j, target in enumerate(de_keys)
        if any(key in target for key in source)
    )
    return Pair(en_text, de_text, alignment)
