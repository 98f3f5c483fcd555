"""Codes and names of languages, as header lines of tables, TMX, XLIFF and names of files write them."""

import re

# ISO 639-1.
_TWO_LETTERS = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj
kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv
ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th
ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
# Other names of the languages that corpora are most often in: three letters, English, their own.
_NAMES = """
ar ara arabic العربية; bg bul bulgarian български; bn ben bengali; ca cat catalan català; cs ces cze czech čeština;
cy cym wel welsh; da dan danish dansk; de deu ger german deutsch; el ell gre greek ελληνικά; en eng english; es spa
spanish español castellano; et est estonian eesti; eu eus baq basque euskara; fa fas per persian farsi فارسی; fi fin
finnish suomi; fr fra fre french français; ga gle irish gaeilge; gl glg galician galego; gu guj gujarati; he heb hebrew
עברית; hi hin hindi हिन्दी; hr hrv croatian hrvatski; hu hun hungarian magyar; hy hye arm armenian; id ind indonesian; is
isl ice icelandic íslenska; it ita italian italiano; ja jpn japanese 日本語; ka kat geo georgian; kk kaz kazakh; km khm
khmer; ko kor korean 한국어; lo lao; lt lit lithuanian lietuvių; lv lav latvian latviešu; mk mkd mac macedonian; mr mar
marathi; ms msa may malay; mt mlt maltese; my mya bur burmese; ne nep nepali; nl nld dut dutch nederlands; no nor
norwegian norsk; nb nob; nn nno; pl pol polish polski; pt por portuguese português; ro ron rum romanian română; ru rus
russian русский; sk slk slo slovak slovenčina; sl slv slovenian slovene slovenščina; sq sqi alb albanian shqip; sr srp
serbian српски; sv swe swedish svenska; sw swa swahili; ta tam tamil தமிழ்; te tel telugu; th tha thai ไทย; tl tgl
tagalog; tr tur turkish türkçe; uk ukr ukrainian українська; ur urd urdu; uz uzb uzbek; vi vie vietnamese; zh zho chi
chinese 中文 汉语
"""
_BOKMAAL_AND_NYNORSK = {"nb": "Norwegian Bokmål", "nn": "Norwegian Nynorsk"}
_CODES = {name: names.split()[0] for names in _NAMES.split(";") for name in names.split()}
_OWN = re.compile(r"[a-z]{2,3}(?:_\w+)?")
_WITH_REGION = re.compile(r"([a-z]{2,3})([-_][a-z0-9]{2,8})*")


def language_code(text: str) -> str | None:
    """Return the code of the language that `text` names, without script and region; None if it names none.

    `en`, `EN-us`, `eng`, `eng_Latn` and `English` are all `en`.
    """
    folded = text.strip().casefold()
    if folded in _CODES:
        return _CODES[folded]
    match = _WITH_REGION.fullmatch(folded)
    if match is None:
        return None
    return _CODES.get(match[1]) or (match[1] if match[1] in _TWO_LETTERS.split() else None)


def same_language(wanted: str, found: str) -> bool:
    """Whether a text in `found` is one in `wanted`: one of them may leave out script and region (`en`, `en-US`)."""
    first, second = (text.strip().casefold().replace("_", "-") for text in (wanted, found))
    if first == second:
        return True
    if "-" in first and "-" in second:
        return False
    codes = [language_code(text) or text.partition("-")[0] for text in (first, second)]
    return codes[0] == codes[1]


def read_direction(text: str) -> tuple[str, str] | None:
    """Return the two codes of `SOURCE-TARGET`; None if it is none, or not clear where the target begins.

    Of two parts the second is the target; of more, all begin with a capital or a digit but the two languages, as in
    `en-US-pt-BR`.
    """
    parts = text.split("-")
    begins = [index for index in range(1, len(parts)) if len(parts) == 2 or _OWN.fullmatch(parts[index])]
    if len(begins) != 1 or not all(re.fullmatch(r"\w+", part) for part in parts) or not parts[0][0].isalpha():
        return None
    return "-".join(parts[: begins[0]]), "-".join(parts[begins[0] :])


def language_name(code: str) -> str:
    """Return the English name of a language, or its code if none is known: `German`, `Portuguese (BR)`."""
    two = language_code(code)
    names = [entry.split() for entry in _NAMES.split(";")]
    own = next((words for words in names if words[0] == two), None)
    if own is None:
        return code
    # After the codes of two and three letters comes the English name; Lao is its own.
    long = [word for word in own[1:] if len(word) > 3 and word.isascii()]
    name = _BOKMAAL_AND_NYNORSK.get(own[0]) or (long[0] if long else own[-1]).title()
    rest = re.split("[-_]", code.strip(), maxsplit=1)[1:]
    return f"{name} ({rest[0]})" if rest else name
