"""Mutations of a JSON document: what a careless or hostile sender makes of it. Repeatable by their seed."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

Path = tuple[str | int, ...]

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**53,
    10**400,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    " ",
    "x" * 70_000,
    "\x00",
    "\ud800",
    "<script>",
    "2026-13-45",
    "Patient/../../etc",
    "https://example.org/a|b",
    "#nothing",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"extension": [{"url": "https://example.org/x"}]},
    {"resourceType": "Patient"},
    {"reference": "urn:uuid:0"},
    {"value": "3", "unit": "day"},
)
KEYS = (
    "extension",
    "modifierExtension",
    "contained",
    "id",
    "meta",
    "item",
    "answer",
    "_status",
    "resourceType",
)


def places(document: Any) -> list[Path]:
    """Returns the path of every member of a document, a member before what it holds."""
    found: list[Path] = []

    def add(node: Any, path: Path) -> None:
        members = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in members:
            found.append((*path, key))
            if isinstance(value, dict | list):
                add(value, found[-1])

    if isinstance(document, dict | list):
        add(document, ())
    return found


def mutated(document: Any, random: Random) -> bytes:
    """Returns the bytes of a document after one to three changes, now and then damaged as bytes too."""
    copy = json.loads(json.dumps(document))
    for _ in range(random.choice((1, 1, 2, 3))):
        _change(copy, random)
    written = json.dumps(copy, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    return random.choice(DAMAGES)(written, random) if random.random() < 0.2 else written


def _change(document: Any, random: Random) -> None:
    """Changes one member in place; a document without members stays as it is."""
    paths = places(document)
    if not paths:
        return
    *way, key = random.choice(paths)
    holder = document
    for step in way:
        holder = holder[step]
    random.choice(CHANGES)(holder, key, random)


def _drop(holder: Any, key: Any, _random: Random) -> None:
    del holder[key]


def _replace(holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice(ODD)


def _wrap(holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice(
        ([holder[key]], {"extension": holder[key]}, {"item": [holder[key]]}, str(holder[key]))
    )


def _double(holder: Any, key: Any, _random: Random) -> None:
    if isinstance(holder[key], list):
        holder[key] = holder[key] * 2
    elif isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[f"{key}x"] = holder[key]


def _rename(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, dict):
        holder[random.choice(KEYS)] = holder.pop(key)


def _nest(holder: Any, key: Any, random: Random) -> None:
    for _ in range(random.choice((2, 10, 40))):
        holder[key] = {"item": [{"linkId": "x", "item": [holder[key]]}]}


CHANGES: tuple[Callable[[Any, Any, Random], None], ...] = (
    _drop,
    _replace,
    _replace,
    _wrap,
    _double,
    _rename,
    _nest,
)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def _noise(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(random.randint(1, 4)) + data[at + 2 :]


def _repeat(data: bytes, random: Random) -> bytes:
    start, end = sorted(random.randrange(len(data)) for _ in range(2))
    return data[:end] + data[start:]


def _encode(data: bytes, random: Random) -> bytes:
    return data.decode("utf-8", "replace").encode(
        random.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1")), "replace"
    )


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (_cut, _noise, _repeat, _encode)
