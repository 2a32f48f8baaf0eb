"""Which language an answer is in, by what is wanted and what there is."""

import pytest

from service.languages import chosen
from service.web.negotiation import preferred_languages

OFFERED = ("en", "de", "pt-BR")

TABLE = {
    "": "en",
    "de": "de",
    "DE": "de",
    "de-CH": "de",
    "de-CH-1996": "de",
    "fr": "en",
    "fr, de": "de",
    "fr;q=0.1, de;q=0.9, en;q=0.5": "de",
    "en;q=0.4, de;q=0.5": "de",
    "de;q=0, en": "en",
    "de;q=0": "en",
    "*": "en",
    "fr, *;q=0.1": "en",
    "pt": "en",
    "pt-BR": "pt-BR",
    "pt-br-x-old": "pt-BR",
    "de-x-y": "de",
    "nonsense;;;q=": "en",
    "de;q=much": "en",
}
"""What is answered to an Accept-Language, where English is the language otherwise."""


@pytest.mark.parametrize(("header", "language"), TABLE.items())
def test_the_dearest_language_that_there_is_is_chosen(header: str, language: str) -> None:
    assert chosen(preferred_languages(header), OFFERED, "en") == language


def test_where_any_language_will_do_it_is_the_one_of_the_settings() -> None:
    assert chosen(("*", "en"), OFFERED, "de") == "de"
    assert chosen(("fr",), OFFERED, "de") == "de"
