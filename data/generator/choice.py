"""Random filling of phrases and clauses: picks words that go together and grammar that fits them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from . import lexicon as lex
from .grammar import (
    CASES,
    Clause,
    Keys,
    NounPhrase,
    Phrase,
    Tok,
    genitive_phrase,
    marked,
    noun_phrase,
    prepositional_phrase,
)
from .lexicon import Noun, Verb

T = TypeVar("T")

# English subject and object, German nominative, accusative and dative. "You" and the object pronouns that
# German does not tell apart ("sie") are left out.
_PRONOUNS = {
    "I": ("I", "me", "ich", "mich", "mir", "m", 1),
    "we": ("we", "us", "wir", "uns", "uns", "p", 1),
    "he": ("he", "him", "er", "ihn", "ihm", "m", 3),
    "she": ("she", "her", "sie", "sie", "ihr", "f", 3),
    "they": ("they", "them", "sie", "sie", "ihnen", "p", 3),
}
_OWN = {"I": "my", "we": "our", "he": "his", "she": "her"}
_ANIMAL_PLACES = ("garden", "forest", "house", "park", "kitchen")


class Dice:
    """Random choices that use only `Random.random`, whose sequence is fixed across Python versions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """Return true with the given probability."""
        return self._random.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self._random.random() * len(items))]

    def weighted(self, items: dict[T, float]) -> T:
        """Return one of the keys, in proportion to its weight."""
        mark = self._random.random() * sum(items.values())
        for item, weight in items.items():
            mark -= weight
            if mark < 0:
                return item
        return list(items)[-1]

    def between(self, low: int, high: int) -> int:
        """Return an integer from low to high inclusive."""
        return low + int(self._random.random() * (high - low + 1))

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in random order."""
        marks = [self._random.random() for _ in items]
        return [items[i] for i in sorted(range(len(items)), key=marks.__getitem__)]


class Chooser:
    """Builds the random parts of one sentence and remembers its words, to use none of them twice."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.keys = Keys()
        self._used: list[str] = []

    def fresh(self, items: Sequence[Noun]) -> Noun:
        """Return a noun that the sentence has not used yet."""
        unused = [noun for noun in items if noun.en not in self._used]
        noun = self.dice.pick(unused or items)
        self._used.append(noun.en)
        return noun

    def marked(self, item: tuple[str, str]) -> Phrase:
        """Make a phrase from a lexicon entry with alignment marks."""
        return marked(self.keys, *item)

    # Persons

    def name_of(self) -> tuple[str, str]:
        """Return an unused first name and its gender."""
        male = [name for name in lex.MALE_NAMES if name not in self._used]
        female = [name for name in lex.FEMALE_NAMES if name not in self._used]
        gender = self.dice.pick("mf")
        name = self.dice.pick(male if gender == "m" else female)
        self._used.append(name)
        return name, gender

    def name(self) -> NounPhrase:
        """Return a first name as a noun phrase."""
        name, gender = self.name_of()
        tokens = [Tok(name, (self.keys(),))]
        cases = {case: tokens for case in CASES}
        return NounPhrase(tokens, tokens, cases, gender, "definite", owner={"m": "he", "f": "she"}[gender])

    def couple(self) -> NounPhrase:
        """Return two coordinated names."""
        first, second, link = self.name(), self.name(), self.keys()
        en = [*first.en_subject, Tok("and", (link,)), *second.en_subject]
        de = [*first.en_subject, Tok("und", (link,)), *second.en_subject]
        return NounPhrase(en, en, {case: de for case in CASES}, "p", "definite", owner="they")

    def pronoun(self, name: str) -> NounPhrase:
        """Return a personal pronoun, named by its English subject form."""
        subject, obj, nom, acc, dat, slot, person = _PRONOUNS[name]
        key = (self.keys(),)
        self._used.append(name)
        cases = {case: [Tok(form, key)] for case, form in (("nom", nom), ("acc", acc), ("dat", dat))}
        return NounPhrase([Tok(subject, key)], [Tok(obj, key)], cases, slot, "pronoun", person, owner=name)

    def person(self, tag: str = "person", owner: str = "", plural: float = 0.15) -> NounPhrase:
        """Return a person as a noun phrase; a relative belongs to `owner`, the speaker or a named person."""
        noun = self.fresh(lex.nouns_tagged(tag))
        adjective = self.dice.pick(lex.adjectives_for(noun)) if self.dice.chance(0.3) else None
        if noun.kind == "kin":
            if self.dice.chance(0.25):
                name, _ = self.name_of()
                np = noun_phrase(self.keys, noun, "", possessor=name)
            else:
                options = ["my", "our", _OWN[owner]] if owner in _OWN else ["my", "our"]
                if owner in ("I", "we"):
                    options = [_OWN[owner]]
                np = noun_phrase(self.keys, noun, self.dice.pick(options), adjective=adjective)
        elif self.dice.chance(plural):
            determiner = self.dice.weighted({"the": 6, "this": 1, "many": 1})
            np = noun_phrase(self.keys, noun, determiner, plural=True, adjective=adjective)
        else:
            determiner = self.dice.weighted({"the": 8, "this": 1, "a": 2})
            np = noun_phrase(self.keys, noun, determiner, adjective=adjective)
        # No pronoun for "Mädchen" and "Kind": both "es" and "sie" would do.
        np.owner = {"m": "he", "f": "she", "n": "", "p": "they"}[np.slot]
        return np

    def subject(self, adult: bool = False) -> NounPhrase:
        """Return a person that can be the subject of any clause."""
        kind = self.dice.weighted({"name": 30, "noun": 42, "pronoun": 20, "couple": 8})
        if kind == "name":
            return self.name()
        if kind == "couple":
            return self.couple()
        if kind == "pronoun":
            return self.pronoun(self.dice.weighted({"I": 3, "we": 3, "he": 3, "she": 3, "they": 2}))
        return self.person("adult" if adult else "person")

    def subject_for(self, verb: Verb) -> NounPhrase:
        """Return a subject that the verb accepts: a person, for some verbs also an animal or a train."""
        if "onlytransit" in verb.flags or ("transit" in verb.flags and self.dice.chance(0.3)):
            return self.thing(("transit",), plural=0.1, plain=True)
        if "animal" in verb.flags and self.dice.chance(0.25):
            return self.thing(("animal",), plural=0.25, plain=True)
        return self.subject("adult" in verb.flags)

    def object_person(self, owner: str, dative: bool) -> NounPhrase:
        """Return a person as an object, which is never the subject itself."""
        if self.dice.chance(0.2):
            options = ["he", "she", "they"] if dative else ["he"]
            options += [] if owner in ("I", "we") else ["I", "we"]
            return self.pronoun(self.dice.pick([name for name in options if name != owner] or ["he"]))
        return self.name() if self.dice.chance(0.25) else self.person(owner=owner)

    # Things

    def thing(
        self,
        tags: tuple[str, ...],
        owner: str = "",
        *,
        negation: int = 0,
        plural: float = 0.2,
        plain: bool = False,
    ) -> NounPhrase:
        """Return a thing or animal; `plain` allows only articles, `negation` makes it "no thing" (kein)."""
        noun = self.fresh(lex.nouns_tagged(*tags))
        adjective = self.dice.pick(lex.adjectives_for(noun)) if self.dice.chance(0.33) else None
        mass = noun.en_plural == "-"
        many = not mass and self.dice.chance(plural)
        if negation:
            return noun_phrase(self.keys, noun, "no", plural=many, adjective=adjective, negation=negation)
        if mass:
            determiner = self.dice.weighted({"": 6, "the": 4})
            return noun_phrase(self.keys, noun, determiner, adjective=adjective)
        if many:
            return self._plural_thing(noun, adjective, plain)
        if plain:
            determiner = self.dice.weighted({"the": 6, "a": 2, "this": 1})
            return noun_phrase(self.keys, noun, determiner, adjective=adjective)
        return self._singular_thing(noun, adjective, owner)

    def _plural_thing(self, noun: Noun, adjective: lex.Adjective | None, plain: bool) -> NounPhrase:
        form = self.dice.weighted({"the": 4, "this": 1, "many": 1, "count": 3, "": 0 if plain else 1.5})
        if form == "count":
            count = self.dice.pick(lex.NUMBERS)
            return noun_phrase(self.keys, noun, "", plural=True, adjective=adjective, count=count)
        return noun_phrase(self.keys, noun, form, plural=True, adjective=adjective)

    def _singular_thing(self, noun: Noun, adjective: lex.Adjective | None, owner: str) -> NounPhrase:
        own = _OWN.get(owner, "our")
        owned = 0 if noun.kind in ("animal", "place", "opening") or "transit" in noun.tags else 1
        weights = {"the": 9, "a": 6, "this": 1.5, own: 3 * owned, "name": owned, "person": owned}
        form = self.dice.weighted(weights)
        if form == "name":
            name, _ = self.name_of()
            return noun_phrase(self.keys, noun, "", adjective=adjective, possessor=name)
        if form == "person":
            holders = [n for n in lex.nouns_tagged("person") if n.kind == "person"]
            holder = noun_phrase(self.keys, self.fresh(holders), "the")
            return genitive_phrase(holder, noun_phrase(self.keys, noun, "the"), self.keys())
        return noun_phrase(self.keys, noun, form, adjective=adjective)

    # Adverbials

    def city(self) -> tuple[list[Tok], list[Tok]]:
        """Return the name of a city in both languages."""
        en, de = self.dice.pick(lex.CITIES)
        key = (self.keys(),)
        return [Tok(en, key)], [Tok(de, key)]

    def _preposition(self, en: str, de: str, rest: tuple[list[Tok], list[Tok]]) -> Phrase:
        key = (self.keys(),)
        return Phrase([Tok(en, key), *rest[0]], [Tok(de, key), *rest[1]])

    def _place_noun(self, noun: Noun, motion: bool) -> Phrase:
        rest_en, rest_de, motion_en, motion_de = lex.PLACES[noun.en]
        en, de = (motion_en, motion_de) if motion else (rest_en, rest_de)
        adjective = self.dice.pick(lex.ADJECTIVES_BY_KIND["place"]) if self.dice.chance(0.2) else None
        determiner = self.dice.weighted({"the": 8, "a": 2 if adjective else 0, "this": 0.5})
        case = "acc" if motion and de != "zu" else "dat"
        np = noun_phrase(self.keys, noun, determiner, adjective=adjective)
        return prepositional_phrase(self.keys, en, de, np, case)

    def location(self, places: tuple[str, ...]) -> Phrase:
        """Return one of the places (nouns, CITY or HOME) as a place of rest."""
        allowed = [place for place in places if place not in self._used]
        place = self.dice.pick(allowed or ["CITY"])
        if place == "HOME":
            return self.marked(lex.HOME)
        if place == "CITY":
            return self._preposition("in", "in", self.city())
        self._used.append(place)
        return self._place_noun(lex.NOUNS[place], motion=False)

    def direction(self, cities: bool = False, animal: bool = False) -> Phrase:
        """Return a goal of motion: a city if `cities`, else a place or home; animals go to few places."""
        if animal:
            return self._place_noun(self.fresh([lex.NOUNS[name] for name in _ANIMAL_PLACES]), motion=True)
        if cities:
            return self._preposition("to", "nach", self.city())
        if self.dice.chance(0.1):
            return self.marked(lex.GO_HOME)
        return self._place_noun(self.fresh([lex.NOUNS[name] for name in lex.PLACES]), motion=True)

    def company(self, owner: str) -> Phrase:
        """Return a "with" phrase."""
        np = self.name() if self.dice.chance(0.3) else self.person(owner=owner)
        return prepositional_phrase(self.keys, "with", "mit", np, "dat")

    def transport(self) -> Phrase:
        """Return a means of transport ("by train")."""
        en, de = self.dice.pick((("bus", "Bus"), ("train", "Zug"), ("car", "Auto"), ("ship", "Schiff")))
        return self.marked((f"by/1 {en}/2", f"mit/1 dem {de}/2"))

    def weekday(self) -> tuple[str, str]:
        """Return "on Monday" or another day, with alignment marks."""
        en, de = self.dice.pick(lex.WEEKDAYS)
        return f"on/1 {en}/2", f"am/1 {de}/2"

    def days_ago(self) -> tuple[str, str]:
        """Return "two days ago" or another number, with alignment marks."""
        en, de = self.dice.pick(lex.NUMBERS)
        return f"{en}/1 days/2 ago/3", f"vor/3 {de}/1 Tagen/2"

    def clock(self) -> tuple[str, str]:
        """Return a full hour, with alignment marks."""
        hour = self.dice.between(5, 12)
        return f"at/1 {hour}/2 o'clock/3", f"um/1 {hour}/2 Uhr/3"

    def time(self, tense: str) -> Phrase:
        """Return an adverbial of time that fits the tense (past or fut)."""
        if tense == "past":
            options = [*lex.PAST_TIMES, self.weekday(), self.days_ago()]
        else:
            options = [*lex.FUTURE_TIMES, self.weekday()]
        return self.marked(self.dice.pick(options))

    # Clauses

    def _tense(self, verb: Verb) -> tuple[str, lex.Modal | None]:
        if "stative" in verb.flags:
            return "pres", None
        tense = self.dice.weighted({"past": 42, "pres": 20, "prog": 10, "fut": 8, "perf": 6, "modal": 14})
        # Nobody "is finding" a key or "should lose" one.
        if (tense == "prog" and "noprog" in verb.flags) or (tense == "modal" and "accident" in verb.flags):
            tense = "past"
        if tense != "modal":
            return tense, None
        modal = self.dice.pick(lex.MODALS)
        return ("past" if modal.en_past and self.dice.chance(0.3) else "pres"), modal

    def verb(self, frames: str, stative: bool = True) -> Verb:
        """Return a verb of one of the frames, named by letters; `stative` allows verbs like "know"."""
        allowed = [verb for verb in lex.VERBS if verb.frame[0] in frames]
        options = [verb for verb in allowed if stative or "stative" not in verb.flags]
        return self.dice.weighted({verb: {"D": 1.3, "G": 1.6}.get(verb.frame, 1.0) for verb in options})

    def clause(
        self,
        frames: str = "TDGILMVPX",
        *,
        verb: Verb | None = None,
        subject: NounPhrase | None = None,
        accusative: NounPhrase | None = None,
        dative: NounPhrase | None = None,
        tense: str = "",
        light: bool = False,
        negative: float = 0.14,
    ) -> Clause:
        """Fill a clause at random around the given parts; `light` leaves out optional adverbials."""
        verb = verb or self.verb(frames, stative=tense in ("", "pres"))
        subject = subject or self.subject_for(verb)
        chosen, modal = (tense, None) if tense else self._tense(verb)
        clause = Clause(self.keys, subject, verb, chosen, modal, accusative=accusative, dative=dative)
        if self.dice.chance(negative) and chosen in ("past", "pres", "perf"):
            clause.negation = self.keys()
        self._fill_objects(clause)
        self._fill_complement(clause)
        if not light:
            self._fill_adverbials(clause)
        return clause

    def _fill_objects(self, clause: Clause) -> None:
        verb, owner = clause.verb, clause.subject.owner
        if verb.frame in ("D", "G") and clause.dative is None:
            clause.dative = self._object_in(clause, dative=True)
        if verb.frame not in ("T", "G", "X") or clause.accusative is not None:
            return
        if "person" in verb.objects and (len(verb.objects) == 1 or self.dice.chance(0.6)):
            clause.accusative = self._object_in(clause, dative=False)
            return
        tags = tuple(tag for tag in verb.objects if tag != "person")
        clause.kein = bool(clause.negation) and self.dice.chance(0.5)
        clause.accusative = self.thing(tags, owner, negation=clause.negation if clause.kein else 0)
        if clause.negation and clause.accusative.kind == "indefinite" and not clause.kein:
            clause.negation = 0

    def _object_in(self, clause: Clause, dative: bool) -> NounPhrase:
        """Return a personal object; "not" needs a definite one, and "picks him up" would split the verb."""
        banned = ["pronoun"] if " " in clause.verb.en else []
        banned += ["indefinite"] if clause.negation else []
        np = self.object_person(clause.subject.owner, dative)
        while np.kind in banned:
            np = self.object_person(clause.subject.owner, dative)
        return np

    def _fill_complement(self, clause: Clause) -> None:
        verb, owner = clause.verb, clause.subject.owner
        frame = verb.frame.split()
        if frame[0] == "M":
            noun = clause.subject.noun
            clause.complement = self.direction(animal=noun is not None and noun.kind == "animal")
        elif frame[0] == "V":
            clause.complement = self.direction(cities=True)
        elif frame[0] == "L":
            clause.complement = self.location(verb.places)
        elif frame[0] == "X":
            clause.complement = self.surface(motion=True)
        elif frame[0] == "P":
            tags = tuple(tag for tag in verb.objects if tag != "person")
            person = "person" in verb.objects and self.dice.chance(0.6)
            np = self.object_person(owner, dative=False) if person else self.thing(tags, owner)
            clause.complement = prepositional_phrase(self.keys, frame[1], frame[2], np, frame[3])

    def surface(self, motion: bool) -> Phrase:
        """Return a place on, under or near a piece of furniture, as a goal or a place of rest."""
        en, de, nouns = self.dice.pick(lex.SURFACES)
        noun = self.fresh([lex.NOUNS[name] for name in nouns])
        adjective = self.dice.pick(lex.adjectives_for(noun)) if self.dice.chance(0.25) else None
        np = noun_phrase(self.keys, noun, "the", adjective=adjective)
        return prepositional_phrase(self.keys, en, de, np, "acc" if motion else "dat")

    def _fill_adverbials(self, clause: Clause) -> None:
        verb, tense, dice = clause.verb, clause.tense, self.dice
        if verb.places and not clause.complement and not clause.dative and dice.chance(0.3):
            clause.place = self.location(verb.places)
        elif "with" in verb.flags and dice.chance(0.4):
            clause.company = self.company(clause.subject.owner)
        elif verb.frame == "V" and dice.chance(0.6):
            clause.company = self.transport()
        elif verb.de in ("kaufen", "kochen") and not clause.negation and dice.chance(0.3):
            person = self.person(owner=clause.subject.owner)
            clause.beneficiary = prepositional_phrase(self.keys, "for", "für", person, "acc")
        punctual = verb.en in ("arrive", "depart", "get up") and tense != "perf" and not clause.negation
        if punctual and dice.chance(0.5):
            clause.time = self.marked(self.clock())
        elif tense in ("past", "fut") and dice.chance(0.5):
            clause.time = self.time(tense)
        elif tense == "pres" and clause.modal and dice.chance(0.3):
            clause.time = self.time("fut")
        elif tense == "pres" and not clause.modal and "stative" not in verb.flags and dice.chance(0.7):
            if clause.negation or dice.chance(0.4):
                # "Not every day" needs another place for "nicht", and "kein" does not go with a habit.
                habits = lex.HABITS if not clause.negation else () if clause.kein else lex.PERIODS
                clause.time = self.marked(dice.pick(habits)) if habits else None
            else:
                clause.frequency = self.marked(dice.pick(lex.FREQUENCIES))
