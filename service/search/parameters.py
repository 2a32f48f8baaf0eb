"""What a search parameter is: the tables of them serve the index, searches and what is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["token", "reference", "date", "string", "uri", "number"]

R4: Final = "http://hl7.org/fhir/SearchParameter/"

_MODIFIERS: Final[Mapping[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        "token": ("missing", "not"),
        "reference": ("identifier", "missing"),
        "date": ("missing",),
        "string": ("contains", "exact", "missing"),
        "uri": ("below", "missing"),
        "number": ("missing",),
    }
)


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one type of resource.

    Args:
        name: as it stands in a query.
        type: FHIR search parameter type.
        definition: canonical of the SearchParameter.
        documentation: what it finds, for who asks.
        paths: elements that it looks at; a step that ends in `*` is that element at any depth.
        targets: types that a reference may name; empty for all, and for what is no reference.
        system: the code system of a code whose element implies it.
        only: of references, those that are known to be of this type.
        canonical: the reference is a canonical url.
        modifiers: what may stand behind the colon; a reference takes one of its targets too.
    """

    name: str
    type: Kind
    definition: str
    documentation: str
    paths: tuple[tuple[str, ...], ...] = ()
    targets: tuple[str, ...] = ()
    system: str = ""
    only: str = ""
    canonical: bool = False
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """The parameters whose canonicals begin alike, such as `clinical-patient` and `clinical-date`."""

    canonical: str

    def token(self, name: str, documentation: str, *paths: str, system: str = "") -> SearchParameter:
        """Returns a parameter of codes."""
        return self._of("token", name, documentation, paths, system=system)

    def text(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of texts."""
        return self._of("string", name, documentation, paths)

    def date(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of dates; they are documented alike."""
        return self._of("date", name, f"{documentation} Without a zone it counts as UTC.", paths)

    def uri(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of uris."""
        return self._of("uri", name, documentation, paths)

    def number(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of numbers."""
        return self._of("number", name, documentation, paths)

    def reference(
        self, name: str, documentation: str, *paths: str, targets: str = "", only: str = ""
    ) -> SearchParameter:
        """Returns a parameter of references; `targets` has blanks between."""
        return self._of("reference", name, documentation, paths, targets=tuple(targets.split()), only=only)

    def canonical_url(self, name: str, documentation: str, path: str, target: str) -> SearchParameter:
        """Returns a parameter of canonicals: with `|version` one version, without it all of them."""
        return self._of("reference", name, documentation, (path,), targets=(target,), canonical=True)

    def _of(
        self,
        kind: Kind,
        name: str,
        documentation: str,
        paths: Iterable[str],
        *,
        targets: tuple[str, ...] = (),
        system: str = "",
        only: str = "",
        canonical: bool = False,
    ) -> SearchParameter:
        return SearchParameter(
            name,
            kind,
            f"{self.canonical}{name}",
            documentation,
            tuple(tuple(path.split(".")) for path in paths),
            targets,
            system,
            only,
            canonical,
            ("missing",) if canonical else _MODIFIERS[kind],
        )


def family(prefix: str) -> Family:
    """Returns the family of standard parameters with this prefix, such as `clinical`."""
    return Family(f"{R4}{prefix}-")


_EVERY: Final = (
    SearchParameter("_id", "token", f"{R4}Resource-id", "Logical id."),
    SearchParameter(
        "_lastUpdated",
        "date",
        f"{R4}Resource-lastUpdated",
        "When the resource was last changed here. Without a zone it counts as UTC.",
    ),
)


def table(*parameters: SearchParameter) -> Mapping[str, SearchParameter]:
    """Returns the parameters by name, those of every resource first."""
    return MappingProxyType({each.name: each for each in (*_EVERY, *parameters)})
