"""The service's own words, a file for each language; knows neither guidance nor HTTP."""

from service.languages.words import (
    ENGLISH,
    Words,
    chosen,
    known_language,
    languages,
    missing_words,
    why_left_out,
    words_in,
)

__all__ = [
    "ENGLISH", "Words", "chosen", "known_language", "languages", "missing_words", "why_left_out", "words_in",
]  # fmt: skip
