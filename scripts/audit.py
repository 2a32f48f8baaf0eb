"""Asks a package index what is known against each locked package, and says which it could not ask about.

A tool that was told nothing prints "no known vulnerabilities" as readily as one that was told there are none.
So an answer counts only if it names the very version and brings a list of advisories. Whether the index gives
any at all is found out first, with a version against which there is one for certain.

Source: PyPI, JSON API, "Get a release"; CycloneDX 1.5, JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = tuple(f"requirements{kind}.txt" for kind in ("", "-dev", "-docs", "-spark", "-release"))
KNOWN_BAD = ("jinja2", "2.10")  # CVE-2019-10906
TIMEOUT_S = 30
FOUND, UNKNOWN_HERE = 1, 3

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(slots=True)
class Locked:
    """One package of a lock: its files' hashes, and the packages that need it."""

    name: str
    version: str
    hashes: list[str] = field(default_factory=list)
    needed_by: list[str] = field(default_factory=list)

    @property
    def purl(self) -> str:
        """The package url, which names it for tools."""
        return f"pkg:pypi/{self.name}@{self.version}"


class NotLookedUp(Exception):
    """The index did not say what is known against a version; the text says why."""


class NoAdvisories(NotLookedUp):
    """The index answers, and has no advisories to give."""


def locked_in(text: str) -> list[Locked]:
    """Returns the packages of a lock file in its order.

    Raises ValueError for a line that is not understood: a package that was overlooked would not be looked up.
    """
    found: list[Locked] = []
    for number, line in enumerate(text.splitlines(), 1):
        if pinned := _PINNED.match(line):
            found.append(Locked(re.sub(r"[-_.]+", "-", pinned[1]).lower(), pinned[2]))
        elif digest := _HASH.search(line):
            found[-1].hashes.append(digest[1])
        elif line.startswith("    #"):
            needed_by = line.strip(" #").removeprefix("via").strip()
            found[-1].needed_by.extend(name for name in [needed_by] if name)
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"line {number} is not understood")
    return found


def advisories(index: str, name: str, version: str) -> list[str]:
    """Returns what is known against a version: an id each, without those that were withdrawn.

    Raises:
        NoAdvisories: the index has no answer of this kind.
        NotLookedUp: it could not be asked, or answered about something else.
    """
    told = _asked(f"{index}/pypi/{name}/{version}/json")
    if told is None or not isinstance(told.get("vulnerabilities"), list):
        raise NoAdvisories("the index gives no advisories for it")
    if told.get("info", {}).get("version") != version:
        raise NotLookedUp("the answer is about another version")
    return [str(known.get("id")) for known in told["vulnerabilities"] if not known.get("withdrawn")]


def _asked(url: str) -> dict[str, Any] | None:
    """Returns the document at an address, None where there is none; raises NotLookedUp otherwise."""
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise NotLookedUp("the index is not on https")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme was looked at
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (404, 405, 410):
            return None
        raise NotLookedUp(f"the index answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise NotLookedUp(f"the index could not be asked ({type(error).__name__})") from None
    if not isinstance(told, dict):
        raise NotLookedUp("the answer is no release")
    return told


def audit(index: str, packages: Collection[tuple[str, str]]) -> int:
    """Prints what is known against the packages (name and version), and returns the exit code."""
    try:
        _try_out(index)
    except NoAdvisories:
        print("skipped: no advisories here: nothing was looked up", file=sys.stderr)
        return UNKNOWN_HERE
    except NotLookedUp as reason:
        print(f"NOT LOOKED UP: all {len(packages)} packages: {reason}", file=sys.stderr)
        return FOUND
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda package: _fault(index, *package), packages))
    faults = [line for line in lines if line]
    print(*faults, f"{len(packages)} packages, {len(faults)} with faults", sep="\n")
    return FOUND if faults else 0


def _try_out(index: str) -> None:
    """Raises NoAdvisories where an index knows nothing even against a version that is known to be bad."""
    if not advisories(index, *KNOWN_BAD):
        raise NoAdvisories("the index knows nothing against a version that is known to be bad")


def _fault(index: str, name: str, version: str) -> str:
    """Returns a line about what is wrong with a package, an empty one where nothing is."""
    try:
        known = advisories(index, name, version)
    except NotLookedUp as reason:
        return f"NOT LOOKED UP: {name} {version}: {reason}"
    return f"ADVISORY: {name} {version}: {', '.join(known)}" if known else ""


def bill_of_materials(packages: Iterable[Locked], *, name: str, version: str) -> dict[str, Any]:
    """Returns the software bill of materials of an application: the same bytes for the same lock."""
    listed = list(packages)
    described = [_component(package) for package in listed]
    application = {"type": "application", "bom-ref": name, "name": name, "version": version}
    content = json.dumps([application, described], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {"component": application},
        "components": described,
        "dependencies": list(_dependencies(listed, name)),
    }


def _component(package: Locked) -> dict[str, Any]:
    files = {
        "type": "distribution",
        "url": package.purl,
        "comment": "one hash for each file that may be installed",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
    }
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "scope": "required",
        "externalReferences": [files],
    }


def _dependencies(packages: list[Locked], application: str) -> Iterator[dict[str, Any]]:
    """Yields what each part needs. The lock names the application with the file that it is described in."""
    references = {application: application} | {package.name: package.purl for package in packages}
    for name, reference in references.items():
        needs = [
            package.purl
            for package in packages
            if any(parent.split()[0] == name for parent in package.needed_by)
        ]
        yield {"ref": reference, "dependsOn": needs}


def _application() -> tuple[str, str]:
    """Returns name and version of the service."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    name, version = (re.search(rf'^{key} = "([^"]+)"', text, re.MULTILINE) for key in ("name", "version"))
    if name is None or version is None:
        raise SystemExit("error: pyproject.toml names no application")
    return name[1], version[1]


def main(arguments: list[str]) -> int:
    """Does what the command line asks for, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__.partition("\n")[0])
    parser.add_argument("--bom", type=Path, metavar="FILE", help="write a bill of materials instead")
    parser.add_argument("--lock", type=Path, action="append", help="another lock file than the project's")
    given = parser.parse_args(arguments)
    if given.bom is not None:
        lock = (given.lock or [ROOT / LOCKS[0]])[0]
        name, version = _application()
        bill = bill_of_materials(locked_in(lock.read_text(encoding="utf-8")), name=name, version=version)
        given.bom.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
        return 0
    locks = given.lock or [ROOT / lock for lock in LOCKS]
    packages = {
        (package.name, package.version)
        for lock in locks
        for package in locked_in(lock.read_text(encoding="utf-8"))
    }
    return audit(index_of(os.environ), sorted(packages))


def index_of(environment: Mapping[str, str]) -> str:
    """Returns the index that is asked: AUDIT_INDEX, or the one that pip installs from."""
    named = environment.get("AUDIT_INDEX") or environment.get("PIP_INDEX_URL")
    if not named:
        from pip._internal.models.index import PyPI  # pip says it nowhere else

        named = PyPI.simple_url
    return named.rstrip("/").removesuffix("/simple")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
