"""Random HTML with placeholders, and a judge of what came back."""

import random
import re
from collections import Counter
from html.parser import HTMLParser

WORDS = [
    "The",
    "farmer",
    "sold",
    "these",
    "expensive",
    "shirts",
    "because",
    "they",
    "are",
    "helping",
    "us",
    "in",
    "Vienna",
    "next",
    "week",
    "red",
    "bags",
]
INLINE = ["b", "i", "em", "a", "span", "strong", "u", "code"]
BLOCKS = ["p", "div", "li", "h1", "td"]
LONE = ["<br>", '<img src="a&amp;b.png">', "<!-- a > b -->", "<wbr/>", "<hr>"]
KEPT = ["{name}", "%s", "{{user.id}}", "http://example.com/a?b=1", "me@example.org", "5 km", "1,234.5", "%(count)d"]
PATTERNS = ["placeholder", "url", "email", "number"]
TAG = re.compile(r"<!--.*?-->|<script>.*?</script>|</?[A-Za-z][^>]*>")


class Judge(HTMLParser):
    """Tells whether elements are closed in the order in which they are opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.broken = False
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("br", "img", "wbr", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        self.broken |= not self.open or self.open.pop() != tag

    def handle_data(self, data: str) -> None:
        self.text += data


def judge(line: str) -> Judge:
    found = Judge()
    found.feed(line)
    found.close()
    found.broken |= bool(found.open)
    return found


def random_line(draw: random.Random) -> str:
    """Make a line of valid HTML: nested elements, lone tags, entities, placeholders; sometimes only tags."""
    serial = iter(range(1000))

    def text() -> str:
        words = [draw.choice(WORDS) if draw.random() < 0.8 else draw.choice(KEPT) for _ in range(draw.randint(0, 6))]
        if draw.random() < 0.2:
            words.append(draw.choice(["&amp;", "&lt;x&gt;", "&nbsp;", "&#65;", "a & b", "Right. Then"]))
        return " " + " ".join(words) + draw.choice(["", " ", ".", ". "])

    def content(depth: int) -> str:
        parts = [text()]
        for _ in range(draw.randint(0, 3)):
            kind = draw.random()
            if kind < 0.2:
                parts.append(draw.choice(LONE))
            elif kind < 0.25:
                parts.append("<script>if (a < b) c('</b>');</script>".replace("</b>", "<\\/b>"))
            elif depth:
                name = draw.choice(INLINE if draw.random() < 0.8 else BLOCKS)
                attribute = draw.choice(["", f' id="{next(serial)}"', " title='a > b' hidden", ' translate="no"'])
                attribute = attribute.replace(" > ", " ")
                parts.append(f"<{name}{attribute}>{content(depth - 1)}</{name}>")
            parts.append(text())
        return "".join(parts)

    return content(3)


def lost(source: str, translation: str) -> list[str]:
    """Return the tags and protected strings that are not in both as often."""
    problems = []
    tags = Counter(TAG.findall(source)), Counter(TAG.findall(translation))
    if tags[0] != tags[1]:
        problems += [f"tag {tag}" for tag in (tags[0] - tags[1]) + (tags[1] - tags[0])]
    texts = judge(source).text, judge(translation).text
    for kept in KEPT:
        # A number may be a part of another one.
        own = re.compile(rf"(?<![\d.,]){re.escape(kept)}")
        if len(own.findall(texts[0])) != len(own.findall(texts[1])):
            problems.append(f"string {kept}")
    return problems
