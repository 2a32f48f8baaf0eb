"""Writes pages by the templates of this folder, in the words of one language."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from service.languages import words_in

_NUMBER_AND_WORD: Final = re.compile(r"(?<=\d)(\.?) (?=[^\W\d])")


def render(name: str, language: str, **model: Any) -> str:
    """Returns a page in HTML.

    Args:
        name: of the template.
        language: of the page. In the template `say(key, ...)` gives a text of the service in it, `count(key,
            number, ...)` one about a number of things, and `language` its tag.
        model: what the template shows, by name.
    """
    words = words_in(language)
    template = _environment().get_template(name)
    return template.render(language=language, say=words.say, count=words.count, **model)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("service.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.filters["together"] = together
    return environment


def together(text: str) -> str:
    """Returns a text whose numbers stay on one line with the word behind them: `7 December`, `4 months`."""
    return _NUMBER_AND_WORD.sub("\\1\N{NO-BREAK SPACE}", text)
