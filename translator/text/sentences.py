"""Where sentences end in a text, by rules: punctuation, abbreviations, ordinal numbers, quotes, scripts without spaces.

The parts of `split_sentences` joined are the text, whatever it holds. Libraries were tried first (2026-11): sentencex
1.0.32 ends the process's thread with a Rust panic at a no-break space after an initial, pysbd 0.3.4 loses white space,
takes 200 times as long as sentencex and has had no release since 2021, and wtpsplit-lite 0.2.0 downloads a model and
needs onnxruntime.
"""

import re
from functools import lru_cache

_CLOSERS = "\"'»«”“’‘)\\]}›」』】〉》〕）］｝｣"
_CLOSERS_UNSPACED = "\"'”’)\\]」』】〉》〕）］｝｣"
_LOOK_BACK = 64
"""Characters before a period in which the word that it belongs to is looked for; no abbreviation is as long."""
_MARKS = ".!?…‥‼⁇⁈⁉؟۔।॥።։፧፨။។៕༎"
# Possessive, so that a megabyte of periods takes no longer than other text.
_END = re.compile(
    # What ends a sentence of words that are written with spaces: so it needs a space after it.
    rf"(?<![{_MARKS}])[{_MARKS}]++[{_CLOSERS}]*+\s++"
    # What ends a sentence without any space.
    rf"|[。！？｡．][。！？｡．…!?]*+[{_CLOSERS_UNSPACED}]*+(?P<unspaced>\s*+)"
    # Tibetan and Greek; the Greek question mark looks like a semicolon, but has a code point of its own.
    rf"|(?:།|\u037e)[{_CLOSERS}]*+\s++"
)
_GREEK_QUESTION = re.compile(rf";[{_CLOSERS}]*\s+")
_OPENERS = re.compile(r"[\s\"'«»„“”‘’(\[{‹›¿¡\-–—]*")
_LAST_WORD = re.compile(r"[^\s\"'«»„“”‘’(\[{‹›/]*$")
_NUMERAL = re.compile(r"\d{1,2}|[IVXLC]+")
_NUMBER = re.compile(r"(?:[^\W\d_]|\d+)(?:[.)]\d+)*")
_QUOTING = re.compile(r"[とって、，,。:：]")

# Before a name or a number, never at the end of a sentence; in lower case, without the period at the end.
_ALWAYS = {
    "": "dr prof st mr mrs ms jr sr no nr vol vs fig al ed eds",
    "en": "mr mrs ms dr prof rev gen col sgt capt lt cpl cmdr gov sen rep hon messrs mt ft fig figs eq eqs sec ch pp "
    "ca cf e.g i.e viz vs approx dept no nos vol op jan feb mar apr jun jul aug sept sep oct nov dec",
    "de": "dr prof hr fr hrn frl st str bzw ca vgl evtl ggf inkl exkl sog z z.b u.a d.h i.d.r o.ä u.ä s.o s.u v.a abs "
    "art nr bd hrsg jh jg kap tel abb mio mrd min std geb gest jan feb mär apr jun jul aug sep sept okt nov dez",
    "fr": "m mm mme mmes mlle mlles dr pr st ste me mgr cf p.ex env av apr art chap fig tél janv févr avr juil sept "
    "oct nov déc",
    "es": "sr sra srta sres d dña dr dra ud uds prof av avda pág págs núm art p.ej aprox tel",
    "pt": "sr sra srs dr dra prof profa av pág págs núm art p.ex tel",
    "it": "sig sigg sig.ra dr dott dott.ssa prof avv ing arch art pag pagg cfr p.es tel es",
    "nl": "dhr mevr mw dr prof ir ing drs mr bijv bv d.w.z m.b.t nr blz art ca jl a.u.b incl excl",
    "sv": "dr prof t.ex bl.a d.v.s s.k ca nr kap st fr",
    "da": "dr prof f.eks bl.a dvs ca nr kap kl hr fr",
    "no": "dr prof f.eks bl.a dvs ca nr kap kl hr fr",
    "pl": "dr prof mgr inż np tzn tzw m.in ul al nr pt św ks gen płk im pl os",
    "cs": "dr prof mgr ing např tzn tzv mj ul č str sv čl obr",
    "ru": "г ул д стр см им проф акад тов т.е т.н т т.к напр рис гл п пп ст руб",
    "uk": "вул д стор див ім проф акад т напр рис гл п ст грн",
    "el": "κ κκ δρ π.χ δηλ βλ αρ σελ",
    "tr": "dr prof doç sn vb vs bkz no av cad sok",
    "hu": "dr prof pl kb ill ún u tel",
    "fi": "dr prof esim mm ks nk n klo s",
    "ro": "dl dna dr prof nr str ex cca",
}
# Languages that write an ordinal number, such as a day of the month, with a period.
_ORDINALS = set("de cs sk pl hu fi et lv da no hr sr bs sl tr is fo lb hsb dsb eu".split())  # noqa: SIM905
_THREE_LETTERS = {
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "por": "pt", "ita": "it", "nld": "nl",
    "dut": "nl", "swe": "sv", "dan": "da", "nor": "no", "nob": "no", "nb": "no", "nno": "no", "nn": "no", "pol": "pl",
    "ces": "cs", "cze": "cs", "rus": "ru", "ukr": "uk", "ell": "el", "gre": "el", "tur": "tr", "hun": "hu", "fin": "fi",
    "ron": "ro", "rum": "ro", "slk": "sk", "est": "et", "lav": "lv", "hrv": "hr", "slv": "sl", "isl": "is", "jpn": "ja",
    "zho": "zh", "tha": "th", "lao": "lo", "khm": "km", "mya": "my", "bod": "bo", "dzo": "dz",
}  # fmt: skip


SPACES_END_SENTENCES = frozenset(("th", "lo"))
"""Languages with no punctuation at the end of a sentence, where a space is the only border."""


def split_sentences(text: str, language: str | None = None) -> list[str]:
    """Return the sentences of `text`, each with the white space after it; joined they are the text.

    `language` is the code of the text's language, such as `de`, `deu_Latn` or `zh-CN`, which says what abbreviations
    and ordinal numbers look like. Where the rules are not sure, they do not split.
    """
    base = base_language(language)
    cuts = [match.end() for match in _END.finditer(text) if _ends(text, match, base)]
    if base == "el":
        cuts = sorted({*cuts, *(match.end() for match in _GREEK_QUESTION.finditer(text))})
    cuts = [0, *(cut for cut in cuts if 0 < cut < len(text)), len(text)]
    return [text[begin:end] for begin, end in zip(cuts, cuts[1:], strict=False) if begin < end]


def base_language(language: str | None) -> str:
    """Return the two letters of a language code, such as `de` for `deu_Latn`; its own letters if it has none."""
    code = (language or "").replace("_", "-").split("-")[0].lower()
    return _THREE_LETTERS.get(code, code)


def _ends(text: str, match: re.Match[str], language: str) -> bool:
    """Tell whether a sentence ends where its punctuation was found."""
    marks, before = match[0].rstrip(), text[max(0, match.start() - _LOOK_BACK) : match.start()]
    if match["unspaced"] is not None:
        quoted = not marks.endswith(tuple("。！？｡．"))
        # 「はい。」と言った: what was said is a part of the sentence that says so.
        return not (quoted and _QUOTING.match(text, match.end())) and not _is_between_digits(text, match)
    begin = _OPENERS.match(text, match.end()).end()  # type: ignore[union-attr]
    following = text[begin : begin + 1]
    # A mark that follows belongs to the same end: . . . and ? !
    if not before.strip() or following.islower() or (following and following in _MARKS):
        return False
    if not marks.startswith(".") or marks.startswith(".."):
        return True
    return not _is_abbreviation(before, following, language)


def _is_abbreviation(before: str, following: str, language: str) -> bool:
    """Tell whether a period belongs to the word before it, as far as the rules know."""
    word = _LAST_WORD.search(before)[0]  # type: ignore[index]
    if word.lower() in _abbreviations(language):
        return True
    if _NUMERAL.fullmatch(word) and language in _ORDINALS:
        return True
    # A number or letter at the beginning of a sentence counts what follows: 1. First. 2. Second.
    earlier = before.removesuffix(word).rstrip()
    if _NUMBER.fullmatch(word) and (not earlier or earlier[-1] in ".!?:;"):
        return True
    # J. R. Tolkien, p. 12. The last word of "Plan B. Then" looks the same, so that no sentence ends there either.
    return len(word) == 1 and ((word.isupper() and following.isalpha()) or (word.isalpha() and following.isdigit()))


@lru_cache(64)
def _abbreviations(language: str) -> frozenset[str]:
    return frozenset((_ALWAYS[""] + " " + _ALWAYS.get(language, "")).split())


def _is_between_digits(text: str, match: re.Match[str]) -> bool:
    """Tell whether this is the full-width period of a number, as in ３．５."""
    around = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return match[0] == "．" and all(side.isdigit() for side in around)
