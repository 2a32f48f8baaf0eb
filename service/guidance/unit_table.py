"""The units of UCUM that this service knows, each as an exact multiple of base units.

Every atom is written in terms of other units, so that one table holds the definitions as UCUM
gives them and nothing is rounded. Units that differ from their base by an offset (degrees
Celsius and Fahrenheit) stand in a table of their own.

Two departures from UCUM, both on the safe side: an amount of substance (`mol`) is a base of its
own, so that `mmol/L` is never taken for a plain number; an arbitrary unit (`[IU]`) is a base of
its own, as UCUM section 24 asks.

Source: The Unified Code for Units of Measure, version 2.1, sections 27-46; https://ucum.org/ucum
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

BASES = ("m", "s", "g", "rad", "K", "C", "cd", "mol")
"""Base units. Anything else that is not defined below is unknown, never a number."""

ARBITRARY = (
    "[IU]",
    "[arb'U]",
    "[USP'U]",
    "[CFU]",
    "[PFU]",
    "[Amb'a'1'U]",
    "[EU]",
    "[ELU]",
    "[GPL'U]",
    "[MPL'U]",
)
"""Units defined by a procedure: comparable with themselves only."""

PREFIXES: Mapping[str, int] = MappingProxyType(
    {
        "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
        "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
    }
)  # fmt: skip
"""Powers of ten by metric prefix."""

METRIC = frozenset(
    {
        *BASES,
        *("Hz", "N", "Pa", "J", "W", "A", "V", "F", "Ohm", "S", "Wb", "T", "H", "lm", "lx", "Bq", "Gy", "Sv"),
        *("L", "l", "ar", "t", "bar", "u", "eV", "cal", "m[H2O]", "m[Hg]", "eq", "osm", "g%", "kat", "U"),
        *(
            "[IU]",
            "[iU]",
            "[arb'U]",
            "sr",
            "st",
            "Ci",
            "R",
            "RAD",
            "REM",
            "dyn",
            "erg",
            "P",
            "G",
            "bit",
            "By",
        ),
        *("Cel", "tex"),
    }
)
"""Atoms that take a metric prefix."""

_JULIAN_YEAR = "36525/100"

DEFINED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # dimensionless
        "10*": ("10", "1"), "10^": ("10", "1"),
        "[pi]": ("3.1415926535897932384626433832795028841971693993751", "1"),
        "%": ("1/100", "1"), "[ppth]": ("1/1000", "1"), "[ppm]": ("1/1000000", "1"),
        "[ppb]": ("1/1000000000", "1"), "[pptr]": ("1/1000000000000", "1"), "sr": ("1", "rad2"),
        # time
        "min": ("60", "s"), "h": ("3600", "s"), "d": ("86400", "s"), "wk": ("7", "d"),
        "a_j": (_JULIAN_YEAR, "d"), "a": (_JULIAN_YEAR, "d"), "a_t": ("36524219/100000", "d"),
        "a_g": ("3652425/10000", "d"), "mo_j": ("1/12", "a_j"), "mo": ("1/12", "a_j"),
        "mo_g": ("1/12", "a_g"), "mo_s": ("2953059/100000", "d"),
        # mechanics and electricity
        "Hz": ("1", "/s"), "N": ("1000", "g.m/s2"), "Pa": ("1", "N/m2"), "J": ("1", "N.m"), "W": ("1", "J/s"),
        "A": ("1", "C/s"), "V": ("1", "J/C"), "F": ("1", "C/V"), "Ohm": ("1", "V/A"), "S": ("1", "/Ohm"),
        "Wb": ("1", "V.s"), "T": ("1", "Wb/m2"), "H": ("1", "Wb/A"), "lm": ("1", "cd.sr"),
        "lx": ("1", "lm/m2"),
        "Bq": ("1", "/s"), "Gy": ("1", "J/kg"), "Sv": ("1", "J/kg"), "bar": ("100000", "Pa"),
        "dyn": ("1", "g.cm/s2"), "erg": ("1", "dyn.cm"), "P": ("1", "dyn.s/cm2"), "G": ("1/10000", "T"),
        "m[H2O]": ("980665/100", "Pa"), "m[Hg]": ("133322", "Pa"), "[psi]": ("1", "[lbf_av]/[sin_i]"),
        "atm": ("101325", "Pa"), "eV": ("1.602176634", "10*-19.J"), "cal": ("4184/1000", "J"),
        "[Cal]": ("1", "kcal"),
        "Ci": ("37000000000", "Bq"), "R": ("258/1000000", "C/kg"), "RAD": ("100", "erg/g"),
        "REM": ("1", "RAD"),
        "g_f": ("980665/100000", "g.m/s2"), "[g]": ("980665/100000", "m/s2"), "deg": ("1/180", "[pi].rad"),
        "'": ("1/60", "deg"), "''": ("1/60", "'"), "gon": ("9/10", "deg"),
        # length, area, volume, mass
        "L": ("1", "dm3"), "l": ("1", "dm3"), "ar": ("100", "m2"), "t": ("1000000", "g"),
        "u": ("1.66053906660", "10*-24.g"),
        "[in_i]": ("254/100", "cm"), "[ft_i]": ("12", "[in_i]"), "[yd_i]": ("3", "[ft_i]"),
        "[mi_i]": ("5280", "[ft_i]"),
        "[nmi_i]": ("1852", "m"), "[kn_i]": ("1", "[nmi_i]/h"), "[sin_i]": ("1", "[in_i]2"),
        "[sft_i]": ("1", "[ft_i]2"),
        "[cin_i]": ("1", "[in_i]3"), "[cft_i]": ("1", "[ft_i]3"), "Ao": ("1/10", "nm"),
        "[gal_us]": ("231", "[in_i]3"), "[qt_us]": ("1/4", "[gal_us]"), "[pt_us]": ("1/2", "[qt_us]"),
        "[cup_us]": ("16", "[tbs_us]"), "[foz_us]": ("1/32", "[qt_us]"), "[tbs_us]": ("1/2", "[foz_us]"),
        "[tsp_us]": ("1/3", "[tbs_us]"), "[cup_m]": ("240", "mL"), "[foz_m]": ("30", "mL"),
        "[tbs_m]": ("15", "mL"),
        "[tsp_m]": ("5", "mL"), "[gr]": ("6479891/100000", "mg"), "[lb_av]": ("7000", "[gr]"),
        "[oz_av]": ("1/16", "[lb_av]"), "[stone_av]": ("14", "[lb_av]"), "[lbf_av]": ("1", "[lb_av].[g]"),
        "[drp]": ("1/20", "mL"), "st": ("1", "m3"), "tex": ("1", "g/km"),
        # chemistry and laboratory
        "eq": ("1", "mol"), "osm": ("1", "mol"), "kat": ("1", "mol/s"), "U": ("1", "umol/min"),
        "g%": ("1", "g/dL"), "[iU]": ("1", "[IU]"), "[MET]": ("7/2", "mL/min/kg"), "[diop]": ("1", "/m"),
        "[Ch]": ("1/3", "mm"), "bit": ("1", "1"), "By": ("8", "bit"),
    }
)  # fmt: skip
"""Atom to (factor, unit term): one `wk` is 7 `d`."""

OFFSET: Mapping[str, tuple[Fraction, Fraction]] = MappingProxyType(
    {
        "Cel": (Fraction(1), Fraction("273.15")),
        "[degF]": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    }
)
"""Scales with their own zero: kelvins are `value * factor + offset`. They stand alone in a code."""
