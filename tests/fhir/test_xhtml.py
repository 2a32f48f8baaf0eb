"""SH08, IV19 (txt-1, txt-2): a narrative holds basic text only."""

import pytest

from service.fhir.xhtml import is_narrative, links_in, presentable


def div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'


@pytest.mark.parametrize(
    "content",
    [
        "text",
        "<p><b>x</b> &lt; &amp; &nbsp;&auml; &#228;</p>",
        '<img src="pictures/a.png" alt="x"/>',
        '<a href="https://example.org/?a=b&amp;c">x</a>',
        '<a href="#x" name="y">x</a>',
        "<table><tr><th>a</th><td>b</td></tr></table>",
        '<p style="color: red" class="x" lang="en" xml:lang="en">x</p>',
        "<!-- a comment --> x",
        '<a href="Questionnaire-x.html#item.q1">x</a>',
        '<a href="#item.q1">x</a><a name="item.q1"> </a>',
        '<a name="Patient_example"> </a>x',
        '<a href="../Patient-1.html?x=a:b#c:d">x</a>',
        '<a href="a%20page.html">x</a><a href="Größe.html">x</a><a href="a page.html">x</a>',
        '<a href="http://hl7.org/fhir/R4/valueset-a.html|4.0.1">x</a>',
        '<a href="//example.org/x">x</a><a href="">x</a><a href="?a=b">x</a>',
        '<a href="mailto:a@example.org">x</a><a href="tel:+49-1">x</a><a href="urn:uuid:1">x</a>',
        '<img src="#pic" alt="x"/>',
        '<img src="data:image/png;base64,iVBORw0KGgo=" alt="x"/>',
        '<img src="https://example.org/x.png" alt="x" usemap="#m"/>',
        '<map name="m"><area href="x.html" alt="x"/></map>x',
        "<address>x</address><bdo dir='rtl'>x</bdo><kbd>x</kbd>",
        '<table class="grid"><tr><td style="background-image: url(tbl_bck1.png)">x</td></tr></table>',
    ],
)
def test_basic_text_may_be_shown(content):
    assert is_narrative(div(content))


@pytest.mark.parametrize(
    "content",
    [
        "<script>x</script>",
        "<p onclick='x'>x</p>",
        "<a href='javascript:x'>x</a>",
        "<a href=' javascript:x'>x</a>",
        "<img src='data:text/html,x'/>",
        "<a href='data:text/html,x'>x</a>",
        "<a href='vbscript:x'>x</a>",
        "<a href='file:///etc/passwd'>x</a>",
        "<a href='java&#9;script:x'>x</a>",
        "<a href='&#1;javascript:x'>x</a>",
        "<a href='&#106;avascript:x'>x</a>",
        "<a href='JavaScript:x'>x</a>",
        "<img src='x' usemap='javascript:x'/>",
        "<img src='x' longdesc='javascript:x'/>",
        "<a href='https://example.org' target='_blank'>x</a>",
        "<p data-fhir='generated'>x</p>",
        "<ins>x</ins>",
        "<font>x</font>",
        "<!-- a --><not_valid>x</not_valid>",
        "<iframe src='https://example.org'>x</iframe>",
        "<form>x</form>",
        "<style>x</style>",
        "<svg>x</svg>",
        "<?php x ?>text",
        "&unknown;",
        "<p>x",
        "x</p>",
        " \n ",
        "&nbsp;<br/>",
        "<p></p>",
    ],
)
def test_anything_else_may_not(content):
    assert not is_narrative(div(content))


@pytest.mark.parametrize(
    "text",
    [
        "text",
        "<p>text</p>",
        "<div>no namespace</div>",
        '<div xmlns="http://example.org">x</div>',
        f"{div('x')}{div('y')}",
        f'<!DOCTYPE div [<!ENTITY a "b">]>{div("&a;")}',
        f'<?xml version="1.0"?><?go?>{div("x")}',
    ],
)
def test_what_is_not_one_div_may_not_be_shown(text):
    assert not is_narrative(text)


def test_a_bomb_of_entities_is_refused_unread():
    entities = "".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};">' for n in range(1, 60))
    assert not is_narrative(f'<!DOCTYPE div [<!ENTITY a0 "x">{entities}]>{div("&a59;")}')


def test_a_deep_narrative_needs_no_recursion():
    assert is_narrative(div("<b>" * 50_000 + "x" + "</b>" * 50_000))


@pytest.mark.parametrize(
    "inside",
    [
        "<!--><img src=x onerror=alert(1)>--><p>x</p>",
        "<!---><img src=x onerror=alert(1)>--><p>x</p>",
        "<p>x</p><![CDATA[><img src=x onerror=alert(1)>]]>",
    ],
)
def test_sh08_what_html_reads_otherwise_than_xml_is_refused(inside):
    assert not is_narrative(f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>')


def test_a_plain_comment_may_stand_in_a_narrative():
    assert is_narrative('<div xmlns="http://www.w3.org/1999/xhtml"><!-- made by hand --><p>x</p></div>')


def test_the_links_of_a_narrative_are_those_that_a_reader_follows_or_sees():
    content = (
        '<a href="#a">x</a><a href="b.html#c" name="d">y</a><img src="&#35;e" alt="#f"/><q cite="#g">#h</q>'
    )
    assert links_in(div(content)) == {"#a", "b.html#c", "#e", "#g"}


@pytest.mark.parametrize("text", ["", "<p>", div("<script/>"), div('<a href="#a">x</a><b>')])
def test_what_is_no_narrative_has_no_links(text):
    assert links_in(text) == frozenset()


IMAGE = "https://elsewhere.example.org/x.png"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('<p style="position: fixed">x</p>', "<p>x</p>"),
        ("<p\n\tstyle = 'color: red' class='y'>x</p>", "<p class='y'>x</p>"),
        ('<p title="a > b" style="x" lang="en">y</p>', '<p title="a > b" lang="en">y</p>'),
        ("<p title=\"it's\" style='\"'>y</p>", '<p title="it\'s">y</p>'),
        (f'<img alt="x" src="{IMAGE}"/>', '<img alt="x"/>'),
        (f"<img src='{IMAGE}' />", "<img />"),
        (f'<img src="{IMAGE.upper()}"/>', "<img/>"),
        ('<img src="&#104;ttps://elsewhere.example.org/x.png" alt="x"/>', '<img alt="x"/>'),
        ('<img src="//elsewhere.example.org/x.png"/>', "<img/>"),
        ('<img src="/\\elsewhere.example.org/x.png"/>', "<img/>"),
        ('<img src="\\\\elsewhere.example.org/x.png"/>', "<img/>"),
        ('<img src="ftp://elsewhere.example.org/x.png"/>', "<img/>"),
        ('<img src="urn:uuid:1"/>', "<img/>"),
        ('<img src="?x=http://elsewhere.example.org"/>', "<img/>"),
        ("<!-- <p title=' --><p style='x'>y</p>", "<!-- <p title=' --><p>y</p>"),
        ("<!-- it's --><p style='x'>it's</p>", "<!-- it's --><p>it's</p>"),
    ],
)
def test_what_would_act_on_the_reader_is_not_passed_on(content, shown):
    assert is_narrative(div(content))
    assert presentable(div(content)) == div(shown)
    assert is_narrative(div(shown))


@pytest.mark.parametrize(
    "content",
    [
        '<img src="#pic" alt="x"/>',
        '<img src="data:image/png;base64,iVBORw0KGgo="/>',
        '<img src="pictures/a.png"/>',
        f'<a href="{IMAGE}" class="style">style="x"</a>',
        '<p title="style=&quot;x&quot;">a &lt;p style="x"&gt;</p>',
        "<table border='0' width='100%'><tr><td nowrap='nowrap'>x</td></tr></table>",
    ],
)
def test_everything_else_of_a_narrative_stays_as_it_came(content):
    assert presentable(div(content)) == div(content)


def test_a_long_narrative_is_made_presentable_in_one_pass():
    odd = "<p " + "a='b' " * 50_000 + "/>"
    assert presentable(div(odd + "<p style='x'/>" * 50_000)) == div(odd + "<p/>" * 50_000)
    assert presentable("<p a" * 100_000) == "<p a" * 100_000
