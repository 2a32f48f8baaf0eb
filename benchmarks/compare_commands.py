"""The commands that are compared, and the files that they read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import compare_mutations as mutations
from benchmarks.compare_exchanges import BASE, Recorder

OUTPUTS = ("risk", "bundle", "explain", "text")
NOTHING = {"STORE_URL": "none"}
SECOND = {
    "STORE_URL": "none",
    "QUESTIONNAIRES_DIR": "<files>/second_pair/questionnaires",
    "MAPPINGS_DIR": "<files>/second_pair/mappings",
}
STORE = SECOND | {"STORE_URL": "sqlite:///<work>/service.db", "BASE_URL": BASE}
BROKEN: Mapping[str, tuple[str, str]] = {
    "advice": ("advice:", "advise:"),
    "band": ("from:", "form:"),
    "finding": ("finding:", "findings:"),
    "score": ("score: total", "score: totals"),
    "source": ("sources: [", "sources: [S999, "),
    "number": ("from: ", "from: x"),
    "kind": ("kind: ", "kind: not-"),
    "list": ("[", "{"),
    "name": ("rule: ", "rule: No "),
    "unused": ("means: ", "meaning: "),
}
"""Texts in mapping files and what they are replaced by, in each file in turn."""


def write_files(files: Path) -> None:
    """Writes the files that commands are given beside samples: responses and mappings that are wrong."""
    wrong = files / "wrong"
    wrong.mkdir()
    for path in sorted((files / "samples").glob("*.json")):
        document = json.loads(path.read_bytes())
        for number, (_, place, damage) in enumerate(mutations.spread(mutations.damaged(document), 20)):
            changed = mutations.with_damage(document, place, damage)
            (wrong / f"{path.stem}-{number:02}.json").write_text(json.dumps(changed), "utf-8")
    stopped = json.loads((files / "samples" / "empty.json").read_bytes()) | {"status": "stopped"}
    (wrong / "stopped.json").write_text(json.dumps(stopped), "utf-8")
    for name, data in (
        ("empty", b""),
        ("half", b"{"),
        ("list", b"[]"),
        ("latin", b'{"x":"\xe9"}'),
        ("other", b"{}"),
    ):
        (wrong / f"{name}.json").write_bytes(data)
    if (files / "second_pair").is_dir():
        _write_broken(files)


def _write_broken(files: Path) -> None:
    """Writes the mapping of the second pair once for each fault, all files with the same fault."""
    source = files / "second_pair" / "mappings"
    for fault, (text, instead) in BROKEN.items():
        for path in sorted(source.rglob("*.yaml")):
            target = files / "broken" / fault / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text("utf-8").replace(text, instead), "utf-8")
    for path in sorted(source.rglob("*.yaml"))[::3]:
        _write_without(source, path, files / "broken" / f"without-{path.stem}")


def _write_without(source: Path, missing: Path, target: Path) -> None:
    for path in sorted(source.rglob("*.yaml")):
        if path != missing:
            own = target / path.relative_to(source)
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_bytes(path.read_bytes())


def everything(recorder: Recorder) -> None:
    """Runs all commands."""
    files = recorder.tree.files
    for label, command, settings, stdin in (
        *_store_commands(),
        *_usage(),
        *_responses(files),
        *_checks(files),
    ):
        recorder.run(label, command, settings, stdin)


Run = tuple[str, list[str], Mapping[str, str], str | None]


def _usage() -> Iterator[Run]:
    for number, words in enumerate(
        (
            [],
            ["--help"],
            ["nonsense"],
            ["assess"],
            ["assess", "--output", "nonsense", "x"],
            ["validate"],
            ["validate", "--help"],
            ["serve", "--nonsense"],
            ["export"],
            ["erase", "--nonsense"],
        )
    ):
        yield f"usage/{number} {' '.join(words)}", words, SECOND, None
    for name, text in (
        ("PORT", "x"),
        ("STORE_URL", "nonsense"),
        ("NONSENSE", "1"),
        ("BASE_URL", "nonsense/"),
        ("MAPPINGS_DIR", "/nowhere"),
        ("CORS_ORIGINS", "https://a.example.org, x"),
        ("STORE_URL_FILE", "/nowhere"),
    ):
        yield f"setting/{name} {text}", ["check"], SECOND | {name: text}, None


def _responses(files: Path) -> Iterator[Run]:
    samples = sorted((files / "samples").glob("*.json"))
    names = [f"<files>/samples/{path.name}" for path in samples]
    wrong = [f"<files>/wrong/{path.name}" for path in sorted((files / "wrong").glob("*.json"))]
    yield "validate/all", ["validate", *names, *wrong, "<files>/nowhere.json"], NOTHING, None
    for output in OUTPUTS:
        command = ["assess", "<files>/samples/professional-with-labs.json", "--output", output]
        yield f"assess/{output}", command, NOTHING, None
    yield "assess/chart", ["assess", "<files>/samples/parameters-with-chart-data.json"], NOTHING, None
    yield "assess/withdrawn", ["assess", "<files>/wrong/stopped.json"], NOTHING, None
    for name in ("half", "other", "nowhere"):
        yield f"assess/{name}", ["assess", f"<files>/wrong/{name}.json"], SECOND, None
    yield "assess/stdin", ["assess", "-"], SECOND, "{}"
    yield "validate/stdin", ["validate", "-"], SECOND, '{"resourceType":"QuestionnaireResponse"}'
    form = "<files>/second_pair/questionnaires/workday-strain.json"
    yield "validate/form", ["validate", "--questionnaire", form, *names, *wrong], SECOND, None
    yield "validate/no form", ["validate", "--questionnaire", names[0], names[0]], SECOND, None


def _checks(files: Path) -> Iterator[Run]:
    yield "check/own", ["check"], NOTHING, None
    yield "check/second", ["check"], SECOND, None
    yield "check/another base", ["check"], SECOND | {"CANONICAL_BASE": "https://x.example.org/y"}, None
    yield "check/no guidance", ["check"], SECOND | {"MAPPINGS_DIR": "<files>/samples"}, None
    for folder in sorted((files / "broken").glob("*")):
        yield (
            f"check/{folder.name}",
            ["check"],
            SECOND | {"MAPPINGS_DIR": f"<files>/broken/{folder.name}"},
            None,
        )


def _store_commands() -> Iterator[Run]:
    yield "store/migrate", ["migrate"], STORE, None
    yield "store/export", ["export", "Patient/example"], STORE, None
    yield "store/export paged", ["export", f"{BASE}/Patient/paged"], STORE, None
    yield "store/export nobody", ["export", "Patient/nobody"], STORE, None
    yield "store/export odd", ["export", "nonsense"], STORE, None
    yield "store/count", ["erase", "Patient/status-0"], STORE, None
    yield "store/erase", ["erase", "Patient/status-0", "--yes"], STORE, None
    yield "store/erased", ["export", "Patient/status-0"], STORE, None
    yield "store/erase response", ["erase", "--response", "none", "--yes"], STORE, None
    yield "store/identifier", ["export", "--identifier", "https://ehr.example.org/p|1"], STORE, None
    yield "store/expire", ["expire"], STORE | {"RETENTION_DAYS": "1", "AUDIT_RETENTION_DAYS": "1"}, None
    yield "store/none", ["migrate"], SECOND, None
