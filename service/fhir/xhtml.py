"""Checks the XHTML of a narrative: well formed, only the elements and attributes that R4 allows.

A page may read it as HTML, so what only XML takes for text is refused too.

Source: https://hl7.org/fhir/R4/narrative.html (txt-1, txt-2)
"""

from __future__ import annotations

import re
from html import unescape
from html.entities import name2codepoint
from typing import Final
from xml.parsers import expat

_ELEMENTS: Final = (
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em "
    "h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre q samp small span strong sub sup table tbody td tfoot th "
    "thead tr tt ul var"
)
_ATTRIBUTES: Final = (
    "abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char "
    "charoff charset cite class colspan compact coords dir frame headers height href hreflang hspace id "
    "ismap lang longdesc name nohref nowrap rel rev rowspan rules scope shape span src start style summary "
    "tabindex title type usemap valign value vspace width xml:lang xml:space xmlns"
)
_NAMESPACE: Final = "http://www.w3.org/1999/xhtml"
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_LINK = re.compile(
    r"(?:https?:|ftp:|mailto:|tel:|urn:|data:image/)"
    r"|(?! )[^\x00-\x1f\x7f:/?#]*(?:[/?#][^\x00-\x1f\x7f]*)?\Z",
    re.IGNORECASE,
)
"""A scheme that runs nothing, or a relative link: no colon before its path, query or fragment."""
_LINKS: Final = frozenset({"href", "src", "cite", "longdesc", "usemap"})

NARRATIVE_EXPECTED: Final = "one XHTML div that says something, with elements of basic text only"


def is_narrative(div: str) -> bool:
    """Says whether `div` may be shown: no script, no foreign element, not blank."""
    reader = _read(div)
    return reader is not None and reader.says_something


# What a reader's browser would load from elsewhere, or let lie over the page, is not passed on.

_TAG = re.compile(r"""<[A-Za-z][^\s/>]*+(?:\s++[^\s=/>"']++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+'))++\s*+/?>""")
_ATTRIBUTE = re.compile(r"""\s++(?P<name>[^\s=/>"']++)\s*+=\s*+(?:"(?P<value>[^"]*+)"|'(?P<other>[^']*+)')""")
_SHOWN_IMAGE = re.compile(r"#|data:image/|(?![/\\])[^\x00-\x20:\\]*\Z", re.IGNORECASE)
"""An image that is contained, is data, or is relative to where the narrative itself came from."""


def presentable(div: str) -> str:
    """Returns a narrative without `style`, and without the addresses of images on other servers.

    Args:
        div: of which `is_narrative` is true, so that a tag is a tag and no attribute has a `<`.

    Source:
        R4 security.html#narrative (an image tells its server who reads what; styles can mislead).
    """
    return _TAG.sub(lambda tag: _ATTRIBUTE.sub(_shown_attribute, tag[0]), div)


def _shown_attribute(attribute: re.Match[str]) -> str:
    name = attribute["name"]
    value = attribute["value"] if attribute["value"] is not None else attribute["other"]
    is_shown = name != "style" and (name != "src" or _SHOWN_IMAGE.match(unescape(value)))
    return attribute[0] if is_shown else ""


def links_in(div: str) -> frozenset[str]:
    """Returns every link and address of an image in a narrative; none if it is no narrative."""
    reader = _read(div)
    return frozenset() if reader is None else frozenset(reader.links)


def _read(div: str) -> _Reader | None:
    reader = _Reader()
    try:
        reader.read(div)
    except (expat.ExpatError, _NotAllowed):
        return None
    return reader


class _NotAllowed(Exception):
    """An element, attribute or link that R4 does not allow in a narrative."""


class _Reader:
    def __init__(self) -> None:
        self.says_something = False
        self.links: list[str] = []
        self._started = False
        self._elements = frozenset(_ELEMENTS.split())
        self._attributes = frozenset(_ATTRIBUTES.split())
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.ProcessingInstructionHandler = self._refuse
        self._parser.StartCdataSectionHandler = self._refuse
        self._parser.CommentHandler = self._comment

    def read(self, div: str) -> None:
        self._parser.Parse(_ENTITY.sub(_character, div), True)  # noqa: FBT003 - expat takes no keyword

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._started and (name != "div" or attributes.get("xmlns") != _NAMESPACE):
            raise _NotAllowed
        self._started = True
        if name not in self._elements or not attributes.keys() <= self._attributes:
            raise _NotAllowed
        links = [attributes[name] for name in _LINKS & attributes.keys()]
        if not all(map(_LINK.match, links)):
            raise _NotAllowed
        self.links += links
        self.says_something = self.says_something or name == "img"

    def _text(self, text: str) -> None:
        self.says_something = self.says_something or not text.isspace()

    def _comment(self, text: str) -> None:
        # Read as HTML, such a comment is over at once, and what was said in it would run.
        if text.startswith((">", "->")):
            raise _NotAllowed

    def _refuse(self, *_: object) -> None:
        raise _NotAllowed


def _character(match: re.Match[str]) -> str:
    """Returns an HTML entity as a number, which XML knows; the five of XML itself stay."""
    code = name2codepoint.get(match[1])
    return match[0] if code is None or code < 63 else f"&#{code};"
