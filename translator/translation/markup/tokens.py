"""A line with markup as tokens, which joined are the line: text, tags, and what is not for translation."""

import html
import re
from dataclasses import dataclass, field
from itertools import accumulate

_TOKEN = re.compile(
    r"<!--.*?(?:-->|$)|<!\[CDATA\[.*?(?:\]\]>|$)|<\?.*?(?:\?>|$)|<![A-Za-z][^>]*+(?:>|$)"
    r"""|<(?P<close>/?)(?P<name>[A-Za-z_][^\s/<>"'=]*+)(?:[^<>"']|"[^"]*"|'[^']*')*+>""",
    re.DOTALL,
)
_SUBTITLE_TOKEN = re.compile(r"\{\\[^{}]*+\}|<(?P<close>/?)(?P<name>[bisu]|font)(?:\s[^<>]*+)?>", re.IGNORECASE)
_TOKENS = {"html": _TOKEN, "xml": _TOKEN, "subtitle": _SUBTITLE_TOKEN}
_RAW = re.compile(r"<(script|style|textarea|template)\b", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{0,31});")
_XML_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);")
_ENTITIES = {"html": _ENTITY, "xml": _XML_ENTITY, "subtitle": re.compile(r"(?!)")}
_UNTOUCHED = re.compile(
    r"""\stranslate\s*=\s*["']?no\b|\sclass\s*=\s*(?:"[^"]*\bnotranslate\b|'[^']*\bnotranslate\b|notranslate\b)""",
    re.IGNORECASE,
)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img input ins kbd label mark meter output "  # noqa: SIM905
    "picture q ruby rb rp rt s samp small span strike strong sub sup svg time tt u var wbr".split()
)
_MOST_MARKS = 200
"""Tags and what else is no text in a segment."""
_DEEPEST = 50
"""Elements inside each other in a segment."""


@dataclass
class Token:
    """A piece of a line."""

    kind: str
    """`text`; `open` or `close`, a tag; `point`, something without text inside a sentence, such as an image or a
    comment; `atom`, text that is kept as it is; `border`, which sentences do not cross."""
    raw: str
    """As it is in the line."""
    name: str = ""
    """Of a tag, in lower case in HTML."""
    characters: list[tuple[str, str]] = field(default_factory=list)
    """Of text: what the model sees, character by character, and how each was written, such as `<` and `&lt;`."""
    partner: int | None = None
    """Index of the other tag of the element; None for a tag that has none in the line."""

    @property
    def text(self) -> str:
        """What the model sees."""
        return "".join(shown for shown, _ in self.characters)


def plain_characters(text: str) -> list[tuple[str, str]]:
    """Return the characters of a text without markup."""
    return [(character, character) for character in text]


def read_tokens(line: str, markup: str) -> list[Token]:
    """Return the tokens of a line of `html` or `xml` or of a `subtitle`, with tags paired.

    A `<` that begins no tag is text. Subtitles have the tags that players know (SubRip: `<i>`, `<b>`, `<u>`, `<s>`,
    `<font>`, and `{\\an8}` and others of SubStation), no entities, and no blocks: a tag without a partner is a point.
    """
    tokens: list[Token] = []
    position = 0
    while (match := _TOKENS[markup].search(line, position)) is not None:
        tokens += _text_tokens(line[position : match.start()], markup)
        position = match.end()
        raw = match[0]
        if markup == "html" and (opened := _RAW.match(raw)) and not raw.endswith("/>"):
            end = re.compile(rf"</{opened[1]}\s*>", re.IGNORECASE).search(line, position)
            position = end.end() if end else len(line)
            tokens.append(Token("border", line[match.start() : position]))
        else:
            tokens.append(_tag(raw, match, markup))
    tokens += _text_tokens(line[position:], markup)
    _pair(tokens)
    if markup == "subtitle":
        for token in tokens:
            if token.kind in ("open", "close") and token.partner is None:
                token.kind = "point"
        return tokens
    return _without_untouched(tokens, markup)


def _text_tokens(text: str, markup: str) -> list[Token]:
    """Return the tokens of text between tags: entities of XML that a document type declares are not text."""
    tokens: list[Token] = []
    characters: list[tuple[str, str]] = []
    position = 0
    for match in _ENTITIES[markup].finditer(text):
        characters += plain_characters(text[position : match.start()])
        position = match.end()
        shown = html.unescape(match[0])
        if len(shown) == 1 and shown.isprintable():
            characters.append((shown, match[0]))
        elif len(shown) == 1 and shown.isspace() and shown not in "\r\n":
            characters.append((" ", match[0]))
        else:
            # More than one character, or none that a line may hold: kept as it is.
            tokens += [_text_token(characters), Token("point", match[0])]
            characters = []
    characters += plain_characters(text[position:])
    tokens.append(_text_token(characters))
    return [token for token in tokens if token.raw]


def _text_token(characters: list[tuple[str, str]]) -> Token:
    return Token("text", "".join(raw for _, raw in characters), characters=characters)


def _tag(raw: str, match: re.Match[str], markup: str) -> Token:
    name = match["name"]
    if name is None:
        return Token("point" if raw.startswith(("<!--", "<![", "<?", "{")) else "border", raw)
    if markup == "xml":
        kind = "close" if match["close"] else "point" if raw.endswith("/>") else "open"
        return Token(kind, raw, name)
    name = name.lower()
    if not match["close"] and (name in _VOID or raw.endswith("/>")):
        return Token("point" if name in _INLINE else "border", raw, name)
    return Token("close" if match["close"] else "open", raw, name)


def _pair(tokens: list[Token]) -> None:
    """Find the partner of each tag: the last open one of its name, which closes all that were opened after it."""
    waiting: list[int] = []
    open_by_name: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if token.kind == "open":
            waiting.append(index)
            open_by_name[token.name] = open_by_name.get(token.name, 0) + 1
        elif token.kind == "close" and open_by_name.get(token.name):
            while token.partner is None:
                last = waiting.pop()
                open_by_name[tokens[last].name] -= 1
                if tokens[last].name == token.name:
                    token.partner, tokens[last].partner = last, index


def _without_untouched(tokens: list[Token], markup: str) -> list[Token]:
    """Join the tokens of elements that say that they are not for translation."""
    kept: list[Token] = []
    index = 0
    moved: dict[int, int] = {}
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "open" and token.partner is not None and _UNTOUCHED.search(token.raw):
            inside = tokens[index : token.partner + 1]
            raw = "".join(own.raw for own in inside)
            characters = [pair for own in inside for pair in own.characters]
            is_inline = markup == "xml" or token.name in _INLINE
            has_text = any(shown.strip() for shown, _ in characters)
            kept.append(Token("border" if not is_inline else "atom" if has_text else "point", raw, "", characters))
            index = token.partner + 1
            continue
        moved[index] = len(kept)
        kept.append(token)
        index += 1
    for token in kept:
        if token.partner is not None:
            token.partner = moved[token.partner]
    return kept


def find_borders(tokens: list[Token], markup: str) -> list[bool]:
    """Tell for each token whether it stays where it is, between segments that are translated on their own.

    Those are blocks, tags without a partner in the line, elements around any of them, and crowds of tags. In XML, whose
    elements have no meaning for us, those that stand beside text are inline, and those in an element without text of
    its own are not.
    """
    borders = [token.kind == "border" for token in tokens]
    parents = _parents(tokens)
    with_text = {
        parents[index] for index, token in enumerate(tokens) if token.kind in ("text", "atom") and token.text.strip()
    }
    for index, token in enumerate(tokens):
        if token.kind in ("open", "close"):
            is_block = token.name not in _INLINE if markup != "xml" else parents[index] not in with_text
            borders[index] = token.partner is None or is_block
    before = [0]
    for border in borders:
        before.append(before[-1] + border)
    for index, token in enumerate(tokens):
        if token.kind == "open" and token.partner is not None and before[token.partner] > before[index + 1]:
            borders[index] = borders[token.partner] = True
    _spread_crowds(tokens, borders)
    return borders


def _spread_crowds(tokens: list[Token], borders: list[bool]) -> None:
    """Make borders of everything but text where no sentence has so many tags, or so deep ones.

    The time to put them into a translation grows with their number times that of the words.
    """
    begin = 0
    for end in [*(index for index, is_border in enumerate(borders) if is_border), len(tokens)]:
        marks = [index for index in range(begin, end) if tokens[index].kind != "text"]
        depths = accumulate((tokens[index].kind == "open") - (tokens[index].kind == "close") for index in marks)
        if len(marks) > _MOST_MARKS or max(depths, default=0) > _DEEPEST:
            for index in marks:
                borders[index] = True
        begin = end + 1


def _parents(tokens: list[Token]) -> list[int | None]:
    """Return, for each token, the index of the opening tag of the element that it is directly in."""
    parents: list[int | None] = []
    around: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind == "close" and token.partner is not None:
            around.pop()
        parents.append(around[-1] if around else None)
        if token.kind == "open" and token.partner is not None:
            around.append(index)
    return parents
