"""SH08, IV19 (txt-1, txt-2): a narrative holds basic text only."""

import pytest

from service.fhir.xhtml import is_narrative


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
