"""Translation memories: which units are translated, and inline elements that move with the text."""

import pytest

from translator.serving.documents import Look, look_into_document, open_document
from translator.serving.memories import open_memory

UNITS = """<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd">
<!-- by hand --><tmx version="1.4"><header srclang="en"/><body>
<tu><note>a note</note><tuv xml:lang="en-US"><seg>A
   dog &amp; a cat</seg></tuv></tu>
<tu><!-- both --><tuv xml:lang="en"><seg>kept</seg></tuv><tuv xml:lang="de"><seg>da</seg></tuv></tu>
<tu><tuv xml:lang="fr"><seg>chien</seg></tuv></tu>
</body></tmx>"""


def memory(content: str) -> bytes:
    return f'<tmx><tu><tuv xml:lang="en"><seg>{content}</seg></tuv></tu></tmx>'.encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_memory_gets_what_it_lacks(encoding: str) -> None:
    texts, markup, rebuild = open_document("a.tmx", UNITS.encode(encoding), "en", "de")
    # A line feed is white space, not the end of a line.
    assert (texts, markup) == (["A dog & a cat"], "none")
    written = rebuild(["Ein \x01Hund & <b>"]).decode()
    assert '<tuv xml:lang="de"><seg>Ein Hund &amp; &lt;b&gt;</seg></tuv></tu>' in written
    assert written.count("<tuv") == 5
    for kept in ('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', "<!-- by hand -->", "<!-- both -->", "<note>a note</note>"):
        assert kept in written


@pytest.mark.parametrize(
    ("content", "text", "translation", "written"),
    [
        (
            'The <bpt i="1" x="7">&lt;b></bpt>old<ept i="1">&lt;/b></ept> dog<ph>{0}</ph>.',
            'The <span id="0">old</span> dog<wbr id="1">.',
            'Der Hund<wbr id="1"> &amp; <span id="0">alt</span>.',
            'Der Hund<ph>{0}</ph> &amp; <bpt i="1" x="7">&lt;b&gt;</bpt>alt<ept i="1">&lt;/b&gt;</ept>.',
        ),
        (
            '<hi type="b">one <it pos="end">]</it></hi>two <ut>x</ut>',
            '<span id="0">one <wbr id="1"></span>two <wbr id="2">',
            'zwei <span id="0"><wbr id="1">eins</span><wbr id="2">',
            'zwei <hi type="b"><it pos="end">]</it>eins</hi><ut>x</ut>',
        ),
        (
            '<bpt i="1"/>one <bpt i="2"/>two<ept i="2"/><ept i="1"/> three',
            '<span id="0">one <span id="1">two</span></span> three',
            'drei <span id="0"><span id="1">zwei</span> eins</span>',
            'drei <bpt i="1"/><bpt i="2"/>zwei<ept i="2"/> eins<ept i="1"/>',
        ),
        (
            # Codes that are not nested are moved one by one.
            '<bpt i="1"/>one <bpt i="2"/>two<ept i="1"/> three<ept i="2"/> <ept i="3"/>',
            '<span id="0">one <wbr id="1">two</span> three<wbr id="2"> <wbr id="3">',
            '<wbr id="1"><span id="0">eins</span><wbr id="2"><wbr id="3">',
            '<bpt i="2"/><bpt i="1"/>eins<ept i="1"/><ept i="2"/><ept i="3"/>',
        ),
        (
            'see <ph>&lt;a title="<sub>a title</sub>"></ph><!-- x -->two',
            'see <wbr id="0"><wbr id="1">two',
            '<wbr id="0"><wbr id="1">zwei',
            '<ph>&lt;a title="<sub>a title</sub>"&gt;</ph><!-- x -->zwei',
        ),
    ],
)
def test_inline_elements_are_tags(content: str, text: str, translation: str, written: str) -> None:
    texts, markup, rebuild = open_memory(memory(content), "en", "de")
    assert (texts, markup) == ([text], "html")
    assert f'<tuv xml:lang="de"><seg>{written}</seg></tuv>' in rebuild([translation]).decode()


def test_units_without_text_are_left_out() -> None:
    assert open_memory(memory("<ph>only a code</ph> "), "en", "de")[0] == []
    assert open_memory(b'<tmx><tu><tuv xml:lang="en"/></tu></tmx>', "en", "de")[0] == []


def test_elements_may_be_in_a_namespace() -> None:
    data = memory("a <ph>x</ph> dog").replace(b"<tmx", b'<tmx xmlns="http://www.lisa.org/tmx14"')
    texts, _, rebuild = open_memory(data, "en", "de")
    assert texts == ['a <wbr id="0"> dog']
    assert b'<tuv xml:lang="de"><seg>ein <ph>x</ph> Hund</seg></tuv>' in rebuild(['ein <wbr id="0"> Hund'])


def test_a_memory_states_its_languages() -> None:
    data = UNITS.encode("utf-16")
    assert look_into_document("a.tmx", data) == Look(["en", "en-US", "en", "de", "fr"], "A dog & a cat kept da chien")
