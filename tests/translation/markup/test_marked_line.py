"""Markup and protected strings: each is in the translation once, nested as it was, whatever the model says."""

import os
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translation.markup.marked_text import KEPT, PATTERNS, TAG, judge, lost, random_line
from translator.translation import Translator
from translator.translation.markup import MarkedLine, Marking, translate_marked
from translator.translation.markup.tokens import read_tokens
from translator.translation.result import TranslatedLine, Translation

HTML, XML, SUBTITLE = Marking("html"), Marking("xml"), Marking("subtitle")


def reversed_words(lines: Sequence[object]) -> list[TranslatedLine]:
    """Translate by reversing the order of the words, each of which is aligned with itself."""
    found = []
    for line in lines:
        spans = [match.span() for match in re.finditer(r"\S+", str(line))]
        text, links = "", []
        for begin, end in reversed(spans):
            text += " " * bool(text)
            links.append((begin, end, len(text), len(text) + end - begin))
            text += str(line)[begin:end]
        found.append(TranslatedLine(str(line), (Translation(text, characters=tuple(links)),)))
    return found


def marked(line: str, marking: Marking = HTML) -> str:
    ((translated,),) = translate_marked([[line]], marking, reversed_words)
    return translated.text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("one <b>two</b> three", "three <b>two</b> one"),
        ('<p class="x>y">one <i>two <b>three</b></i></p>', '<p class="x>y"><i><b>three</b> two</i> one</p>'),
        ("a &lt; &amp; b", "b &amp; &lt; a"),
        ("one two<br>three four", "two one<br>four three"),
        ("  <td> </td>\t", "  <td> </td>\t"),
        ("one <code translate=no>x &amp; y</code> two", "two <code translate=no>x &amp; y</code> one"),
        ("one <script>a<b</script> two three", "one <script>a<b</script> three two"),
        ("<b>one two", "<b>two one"),
        ("one </b> two three", "one </b> three two"),
        ("<b>one two</b>", "<b>two one</b>"),
        ("a < b", "b &lt; a"),
    ],
)
def test_tags_move_with_the_words_that_they_are_around(line: str, expected: str) -> None:
    assert marked(line) == expected


def test_in_xml_what_is_beside_text_is_inline() -> None:
    assert marked('<seg>one <g id="1">two</g> &foo; three</seg>', XML).startswith("<seg>three ")
    assert marked("<a><x>one two</x><y>three four</y></a>", XML) == "<a><x>two one</x><y>four three</y></a>"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Q&A &amp; 3 > 2 < 4 <3", "<3 4 < 2 > 3 &amp; Q&A"),
        ("one <i>two <font color=red>three</font></i> four", "four <i><font color=red>three</font> two</i> one"),
        (r"{\an8}one two", r"{\an8}two one"),
        ("<I >one two", "<I >two one"),
        ("one two</i>", "two one</i>"),
        ("one <b>two <i>three</b> four</i> five", "five four <b><i>three two</b> one</i>"),
        ("<br> {name}", "{name} <br>"),
        ("<i>...</i>", "<i>...</i>"),
    ],
)
def test_subtitles_have_tags_but_no_entities(line: str, expected: str) -> None:
    assert marked(line, SUBTITLE) == expected


def test_protected_strings_are_never_lost() -> None:
    line = "see {name} and %s at http://a.de/b?c=1, 5 km"

    def forgetful(lines: Sequence[object]) -> list[TranslatedLine]:
        return [TranslatedLine(str(line), (Translation("ab cd"),)) for line in lines]

    ((found,),) = translate_marked([[line]], Marking("none", tuple(PATTERNS)), forgetful)
    assert all(found.text.count(kept) == 1 for kept in ("{name}", "%s", "http://a.de/b?c=1", "5 km"))

    def stuttering(lines: Sequence[object]) -> list[TranslatedLine]:
        return [TranslatedLine(str(line), (Translation("{name} ab {name}"),)) for line in lines]

    ((found,),) = translate_marked([["x {name}"]], Marking("none", tuple(PATTERNS)), stuttering)
    assert found.text.count("{name}") == 1


@given(st.text(st.one_of(st.sampled_from("<>/ab \"'=&;!-?[]"), st.characters(codec="utf-8")), max_size=40))
def test_tokens_and_parts_joined_are_the_line(line: str) -> None:
    line = line.replace("\n", "").replace("\r", "")
    for markup in ("html", "xml", "subtitle"):
        assert "".join(token.raw for token in read_tokens(line, markup)) == line
        if markup == "subtitle":
            continue

        def unchanged(lines: Sequence[object]) -> list[TranslatedLine]:
            return [TranslatedLine(str(own), (Translation(str(own)),)) for own in lines]

        parts = MarkedLine.read(line, Marking(markup))
        restored = parts.translated(unchanged([segment.text for segment in parts.segments])).text
        assert TAG.findall(restored) == TAG.findall(line) or "<!" in line


@pytest.mark.parametrize(
    ("before", "between", "after", "count"),
    [
        ("<b>", "one two", "</b>", 20_000),
        ("<b>", "one two", "</i>", 20_000),
        ("", "one two", "<i></i>", 20_000),
        ("", "<wbr>one ", "", 20_000),
        ("", "<i>x</i> ", "", 20_000),
        ("", "<p>one <b>two</b> " + "<i></i>" * 90 + "</p>", "", 300),
    ],
)
def test_crowds_of_tags_take_no_longer_than_others(before: str, between: str, after: str, count: int) -> None:
    line = before * count + between * (1 if before or after else count) + after * count
    ((translated,),) = translate_marked([[line]], HTML, lambda lines: [unchanged(str(own)) for own in lines])
    assert TAG.sub("", translated.text) == TAG.sub("", line)
    assert sorted(TAG.findall(translated.text)) == sorted(TAG.findall(line))


def unchanged(line: str) -> TranslatedLine:
    return TranslatedLine(line, (Translation(line),))


def test_long_lines_of_linked_words_take_no_longer_than_others() -> None:
    line = "<b>" + "one two " * 20_000 + "</b>"
    assert TAG.sub("", marked(line)).split() == ["two", "one"] * 20_000


@pytest.mark.parametrize("is_linked", [True, False])
def test_crowds_of_strings_that_the_model_loses_come_back_once(is_linked: bool) -> None:
    numbers = [str(number) for number in range(3000)]
    line = " ".join(f"one {number}" for number in numbers)

    def without_numbers(lines: Sequence[object]) -> list[TranslatedLine]:
        (text,) = map(str, lines)
        spans = [match.span() for match in re.finditer(r"\S+", text)] if is_linked else []
        return [
            TranslatedLine(
                text, (Translation(re.sub(r"\d", "x", text), characters=tuple((*own, *own) for own in spans)),)
            )
        ]

    ((found,),) = translate_marked([[line]], Marking("none", ("number",)), without_numbers)
    assert sorted(re.findall(r"\d+", found.text), key=int) == numbers


@given(st.randoms(use_true_random=False))
def test_every_word_is_written_once_whatever_the_links_say(draw: random.Random) -> None:
    def wild(lines: Sequence[object]) -> list[TranslatedLine]:
        found = []
        for line in map(str, lines):
            text = " ".join(f"t{index}" for index in range(draw.randint(1, 12)))
            links = []
            for _ in range(draw.randint(0, 20)):
                begin, target = draw.randint(0, len(line)), draw.randint(0, len(text))
                links.append((begin, begin + draw.randint(0, 9), target, target + draw.randint(0, 9)))
            expected.extend(text.split())
            found.append(TranslatedLine(line, (Translation(text, characters=tuple(links)),)))
        return found

    expected: list[str] = []
    parts = re.split(r"(<[^>]*>)", random_line(draw).replace(' translate="no"', ""))
    line = "".join(part if part.startswith("<") else re.sub(r"[^\W\d]+", "w", part) for part in parts)
    ((found,),) = translate_marked([[line]], Marking("html"), wild)
    assert re.findall(r"t\d+", TAG.sub("", found.text)) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(99, "<b></b>" * 99 + "two one"), (101, "one" + "<b></b>" * 101 + " two")]
)
def test_a_sentence_holds_two_hundred_tags(count: int, expected: str) -> None:
    assert marked("one" + "<b></b>" * count + " two") == expected


def test_a_sentence_holds_fifty_elements_inside_each_other() -> None:
    assert marked("one " + "<b>" * 50 + "two three" + "</b>" * 50) == "<b>" * 50 + "three two" + "</b>" * 50 + " one"
    assert marked("one " + "<b>" * 51 + "two three" + "</b>" * 51) == "one " + "<b>" * 51 + "three two" + "</b>" * 51


@given(st.lists(st.sampled_from(["<a>", "<b>", "<i>", "</a>", "</b>", "</i>", "x"]), max_size=30))
def test_a_closing_tag_belongs_to_the_last_open_one_of_its_name(parts: list[str]) -> None:
    tokens = read_tokens("".join(parts), "html")
    waiting: list[int] = []
    partners: dict[int, int] = {}
    for index, token in enumerate(tokens):
        if token.kind == "open":
            waiting.append(index)
        elif token.kind == "close" and (same := [own for own in waiting if tokens[own].name == token.name]):
            partners |= {index: same[-1], same[-1]: index}
            waiting = [own for own in waiting if own < same[-1]]
    assert {at: token.partner for at, token in enumerate(tokens) if token.partner is not None} == partners


@given(st.randoms(use_true_random=False))
def test_every_tag_and_string_comes_back_with_any_model(tiny_translator: Translator, draw: random.Random) -> None:
    line = random_line(draw)
    (found,) = tiny_translator.translate([line], markup="html", protect=PATTERNS, alignment="1.1", max_length_extra=8)
    assert not lost(line, found), found
    assert not judge(found).broken, found


def test_protected_strings_without_markup(tiny_translator: Translator) -> None:
    line = " a dog ".join(KEPT)
    (found,) = tiny_translator.translate([line], protect=PATTERNS, alignment="1.1")
    assert not [kept for kept in KEPT if found.count(kept) < line.count(kept)]


@pytest.mark.skipif("TRANSLATOR_FUZZ_RUN" not in os.environ, reason="TRANSLATOR_FUZZ_RUN names a trained run")
def test_a_thousand_lines_through_the_command(run_command: Callable[..., Any]) -> None:
    draw = random.Random(14)
    lines = [random_line(draw) for _ in range(1000)]
    words = ["--markup", "html", "--set", f"protect=[{','.join(PATTERNS)}]", "--set", "threads=1"]
    ended = run_command("translate", os.environ["TRANSLATOR_FUZZ_RUN"], *words, input="\n".join(lines).encode())
    found = ended.stdout.decode().splitlines()
    assert not [line for line in lines if judge(line).broken]
    assert not [problems for problems in map(lost, lines, found) if problems]
    assert not [line for line in found if judge(line).broken]
    assert len(found) == len(lines)
