"""TMX and XLIFF: languages by code, inline codes, and hostile files."""

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from translator.errors import DataError
from translator.text import Corpus, open_corpus

NONE = (None, None)
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'


def tu(**texts: str) -> str:
    sides = "".join(
        f'<tuv xml:lang="{language.replace("_", "-")}"><seg>{text}</seg></tuv>' for language, text in texts.items()
    )
    return f"<tu>{sides}</tu>\n"


def tmx(*units: str, source: str = "en", head: str = HEAD) -> str:
    return f'{head}<tmx version="1.4"><header srclang="{source}"/><body>\n{"".join(units)}</body></tmx>'


def corpus_of(tmp_path: Path, text: str, languages: Any = NONE, name: str = "a.tmx", encoding: str = "utf-8") -> Corpus:
    data = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return open_corpus(f"{tmp_path}/{name}", *languages)


@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz"])
def test_languages_of_tmx_are_found(tmp_path: Path, name: str) -> None:
    text = tmx(tu(de_DE="ein Hund", en_US="a dog &amp; more"), tu(de_DE="zwei", EN_us="two"))
    corpus = corpus_of(tmp_path, text, name=name)
    expected = [("a dog & more", "ein Hund"), ("two", "zwei")]
    assert (list(corpus.pairs()), corpus.languages) == (expected, ("en", "de")), "the header says which is the source"
    assert list(corpus_of(tmp_path, text, ("de", "en"), name).pairs()) == [pair[::-1] for pair in expected]
    assert list(corpus_of(tmp_path, text, ("deu", "English"), name).pairs()) == [pair[::-1] for pair in expected]


def test_regions_are_told_apart_where_both_say_one(tmp_path: Path) -> None:
    text = tmx(tu(en="colour", pt_PT="cor (PT)", pt_BR="cor (BR)"), tu(en="two", pt_PT="dois"), tu(en="three", fr="x"))
    corpus = corpus_of(tmp_path, text, ("en", "pt-BR"))
    assert list(corpus.pairs()) == [("colour", "cor (BR)")]
    assert list(corpus.skipped.values()) == [2]
    assert list(corpus_of(tmp_path, text, ("en", "pt")).pairs()) == [("colour", "cor (PT)"), ("two", "dois")]
    both = corpus_of(tmp_path, tmx(tu(pt_PT="a", pt_BR="b"), source="pt-PT"))
    assert both.languages == ("pt-PT", "pt-BR")


def test_inline_codes_are_left_out_and_white_space_is_one_space(tmp_path: Path) -> None:
    coded = (
        "\n   <bpt i='1'>&lt;b></bpt>a <hi>big</hi>\n\tdog<ept i='1'>&lt;/b><sub>no</sub></ept><ph>{1}</ph>"
        "<it pos='begin'>x</it>\u00a0runs <ut>z</ut>"
    )
    text = tmx(tu(en=coded, de="ein\u3000Hund"))
    assert list(corpus_of(tmp_path, text).pairs()) == [("a big dog\u00a0runs", "ein\u3000Hund")]


def test_old_tmx_says_lang(tmp_path: Path) -> None:
    text = tmx('<tu><tuv lang="EN"><seg>a</seg></tuv><tuv lang="DE"><seg>b</seg></tuv></tu>')
    assert list(corpus_of(tmp_path, text).pairs()) == [("a", "b")]


def test_tmx_in_utf16_is_read(tmp_path: Path) -> None:
    text = tmx(tu(en="a dog", de="Müller"), head='<?xml version="1.0" encoding="UTF-16"?>')
    assert list(corpus_of(tmp_path, text, encoding="utf-16").pairs()) == [("a dog", "Müller")]


BOMB = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (tmx(tu(en="&b;", de="x"), head=BOMB), r"line 1: it declares the entity `a`"),
        (tmx(tu(en="&x;", de="x"), head='<!DOCTYPE tmx [<!ENTITY x SYSTEM "/etc/passwd">]>'), r"the entity `x`"),
        (tmx(tu(en="&x;", de="x"), head='<!DOCTYPE tmx [<!ENTITY % x SYSTEM "http://x/">%x;]>'), r"the entity `x`"),
        (tmx(tu(en="&nbsp;", de="x")), r"a.tmx, line 4: the entity `&nbsp;` is not defined"),
        (tmx("<a>" * 200), r"a.tmx, line 4: elements are nested more than 100 deep"),
        (tmx(tu(en="a", de="b"))[:-20], r"a.tmx, line 4: not valid XML"),
        (tmx(tu(en="a", de="b"), "</tu>\n"), r"a.tmx, line 5: not valid XML \(mismatched tag"),
        ("<html/>", r"line 1: found the element `html`, expected `tmx`"),
        (tmx(tu(en="a", de="b", fr="c")), r"the first unit has the languages en, de, fr, expected two; set data"),
        ("", r"a.tmx, line 1: not valid XML \(no element found\)"),
        (tmx(tu(en="a", de="b"), head='<?xml version="1.0" encoding="klingon"?>'), r"line 1: not valid XML"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_tmx_gives_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(corpus_of(tmp_path, text).pairs())
    assert str(caught.value).count("a.tmx") == 1


def test_languages_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 2 units has both en and fr; found en \(2\), de \(2\)"):
        list(corpus_of(tmp_path, tmx(tu(en="a", de="b"), tu(en="c", de="d")), ("en", "fr")).pairs())


@pytest.mark.parametrize("junk", ["x", "<", "<a b='"])
def test_something_without_end_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, junk: str
) -> None:
    monkeypatch.setattr("translator.text.formats.xml_stream.MAX_LINE_BYTES", 1 << 20)
    text = tmx()[: -len("</body></tmx>")] + "<tu><tuv lang='en'><seg>" + junk + "x" * (8 << 20)
    corpus = corpus_of(tmp_path, text, ("en", "de"))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a.tmx, line \d: .*(longer than 1 MiB|not valid)"):
        list(corpus.pairs())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


def test_a_truncated_tmx_is_named_at_its_line(tmp_path: Path) -> None:
    packed = gzip.compress(tmx(*[tu(en=f"a {n * 7919}", de=f"b {n * 104729}") for n in range(3000)]).encode())
    (tmp_path / "a.tmx.gz").write_bytes(packed[: len(packed) // 2])
    corpus = open_corpus(f"{tmp_path}/a.tmx.gz")
    with pytest.raises(DataError, match=r"a.tmx.gz, line 1,\d\d\d: the gzip data end in the middle"):
        list(corpus.pairs())


XLIFF_1 = """<?xml version="1.0"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file original="a" source-language="en-GB" target-language="de" datatype="plaintext"><body>
<trans-unit id="1"><source>a <g id="1">big</g> dog<x id="2"/></source><seg-source>no</seg-source>
<target>ein <bpt id="1">&lt;b></bpt>Hund</target><alt-trans><source>no</source><target>nein</target></alt-trans>
</trans-unit>
<trans-unit id="2"><source>a cat</source></trans-unit>
</body></file>
<file source-language="en" target-language="fr"><body>
<trans-unit id="3"><source>a bird</source><target>un oiseau</target></trans-unit></body></file>
</xliff>"""
XLIFF_2 = """<xliff version="2.0" srcLang="en" trgLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0"><file id="f">
<unit id="1">
<mtc:matches xmlns:mtc="urn:x"><mtc:match><source>no</source><target>nein</target></mtc:match></mtc:matches>
<segment><source>a <pc id="1">big</pc> dog<ph id="2"/></source><target>ein Hund</target></segment>
<ignorable><source> </source></ignorable>
<segment><source>a cat</source></segment></unit></file></xliff>"""


@pytest.mark.parametrize(("text", "skipped"), [(XLIFF_1, [1]), (XLIFF_2, [])])
def test_xliff_of_both_versions(tmp_path: Path, text: str, skipped: list[int]) -> None:
    corpus = corpus_of(tmp_path, text, name="a.xlf")
    assert (list(corpus.pairs()), corpus.languages) == ([("a big dog", "ein Hund"), ("a cat", "")], ("en", "de"))
    assert list(corpus.skipped.values()) == skipped
    backwards = corpus_of(tmp_path, text, ("de", "en"), name="a.xliff")
    assert list(backwards.pairs()) == [("ein Hund", "a big dog"), ("", "a cat")]


def test_xliff_in_other_languages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 2 segments is from en to ja; found en to de"):
        list(corpus_of(tmp_path, XLIFF_2, ("en", "ja"), name="a.xlf").pairs())
    with pytest.raises(DataError, match="expected `xliff`"):
        corpus_of(tmp_path, tmx(), name="a.xlf")
