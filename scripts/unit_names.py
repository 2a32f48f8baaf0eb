"""Makes service/datatypes/unit_names.json: what units are called, from the Unicode CLDR as Babel has it.

Run it where Babel 2.19.0 is installed, which nothing else here needs: python scripts/unit_names.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from babel import Locale, __version__
from babel.core import get_cldr_version

FILE = Path(__file__).parents[1] / "service" / "datatypes" / "unit_names.json"
UNITS = {
    "duration-second": "s",
    "duration-minute": "min",
    "duration-hour": "h",
    "duration-day": "d",
    "duration-week": "wk",
    "duration-fortnight": "14.d",
    "duration-month": "mo",
    "duration-year": "a",
    "mass-kilogram": "kg",
    "mass-gram": "g",
    "mass-milligram": "mg",
    "mass-microgram": "ug",
    "mass-pound": "[lb_av]",
    "mass-ounce": "[oz_av]",
    "mass-stone": "[stone_av]",
    "length-meter": "m",
    "length-centimeter": "cm",
    "length-millimeter": "mm",
    "length-inch": "[in_i]",
    "length-foot": "[ft_i]",
    "volume-liter": "L",
    "volume-deciliter": "dL",
    "volume-milliliter": "mL",
    "temperature-celsius": "Cel",
    "temperature-fahrenheit": "[degF]",
    "concentr-percent": "%",
}
"""Units of the CLDR, and their codes in UCUM."""

LANGUAGES = [
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "ga", "he", "hi", "hr",
    "hu", "id", "is", "it", "ja", "ko", "lt", "lv", "mt", "nb", "nl", "pl", "pt", "ro", "ru", "sk",
    "sl", "sq", "sr", "sv", "th", "tr", "uk", "vi", "zh",
]  # fmt: skip


def names(locale: Locale, unit: str) -> set[str]:
    """Returns the names of a unit: long, short and narrow, for every number."""
    patterns = locale._data["unit_patterns"].get(unit, {})  # noqa: SLF001 - Babel only writes them with a number
    texts = {text for width in patterns.values() for form, text in width.items() if form != "per"}
    found = {re.sub(r"\s+", " ", text.replace("{0}", " ")).strip() for text in texts}
    return {name for name in found if name and not any(character.isdecimal() for character in name)}


def main() -> None:
    """Writes the file anew; what it says of symbols is written by hand, and stays."""
    kept = json.loads(FILE.read_text("utf-8"))
    locales = [Locale.parse(language) for language in LANGUAGES]
    listed = {
        code: sorted({name for locale in locales for name in names(locale, unit)})
        for unit, code in UNITS.items()
    }
    source = f"Unicode CLDR {get_cldr_version()} as Babel {__version__} has it; Unicode License v3"
    made = kept | {"source": source, "languages": LANGUAGES, "names": listed}
    parts = (f" {_written(key)}: {_lines(value)}" for key, value in made.items())
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def _lines(value: object) -> str:
    """Returns a value as JSON, with a line for each unit."""
    if not isinstance(value, dict):
        return _written(value)
    return (
        "{\n" + ",\n".join(f"  {_written(code)}: {_written(found)}" for code, found in value.items()) + "\n }"
    )


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main()
