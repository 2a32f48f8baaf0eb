"""The shape of the program: who imports whom, what may stand where, how long things may be."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICE = ROOT / "service"
MODULES = sorted(SERVICE.rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 700, 40
CLINICAL = re.compile(r"twitch|fascicul", re.IGNORECASE)
VAGUE = re.compile(r"Manager|Handler|Processor|Helper|Utils?$|Base$")


TOP = {
    "__main__",
    "app",
    "apply",
    "assess",
    "catalogue",
    "check",
    "checked",
    "cli",
    "earlier",
    "errors",
    "extract",
    "interview",
    "mapping_files",
    "populate",
    "reloading",
    "sandbox",
    "serve",
    "settings",
    "shadow",
    "validate",
}
ROOMS = {
    "audit": "who did what with whose data",
    "auth": "who may let whom in",
    "authoring": "what authors are told of their files",
    "bulk": "responses by the million",
    "cds_hooks": "what an EHR is told in its own workflow",
    "clinical_reasoning": "a guidance as CQL and as definitions of FHIR",
    "datatypes": "answers, forms and units",
    "fhir": "FHIR JSON, its datatypes and structure",
    "guidance": "the engine",
    "languages": "the words of the service in each language",
    "outbound": "what is asked of other servers",
    "pages": "forms that people fill in, and their results",
    "proofs": "what is proved of a guidance",
    "questionnaire": "what a response must keep to",
    "records": "a response, its result and its trail as one transaction",
    "results": "the views of a result",
    "retention": "export, erasure, expiry",
    "search": "FHIR search",
    "storage": "versioned records on SQLite and PostgreSQL",
    "terminology": "code systems, value sets, expansion",
    "web": "HTTP",
}
ALONE: dict[str, str] = {
    "service.search.published": "what never changes is searched in memory, and its answers are kept",
    "service.fhir.resource_models": "the only place that imports fhir.resources, kept off the request path",
}
"""Small modules with one reader that stand alone, with the reason."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> list[ast.AST]:
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, kind)]


@cache
def imports(path: Path) -> list[str]:
    plain = [alias.name for node in nodes_of(path, ast.Import) for alias in node.names]
    return plain + [node.module for node in nodes_of(path, ast.ImportFrom) if node.module]


def by_module() -> dict[str, Path]:
    return {
        name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path
        for path in MODULES
    }


def read_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Returns the modules of the service that a module imports, in either form of `from ... import`."""
    found = set()
    for node in nodes_of(path, ast.ImportFrom):
        submodules = {f"{node.module}.{alias.name}" for alias in node.names} & modules.keys()
        found |= submodules
        if len(submodules) < len(node.names):
            found |= {str(node.module)} & modules.keys()
    return found


def importers(package: str) -> set[str]:
    return {
        name_of(path)
        for path in MODULES
        if any(module == package or module.startswith(package + ".") for module in imports(path))
    }


def length_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if is_docstring else 0
    return node.end_lineno - node.lineno + 1 - docstring


def test_the_import_contracts_hold():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_modules_know_each_other_in_a_circle_not_even_by_their_types():
    modules = by_module()
    others = {name: read_modules(path, modules) - {name} for name, path in modules.items()}
    TopologicalSorter(others).prepare()


def test_guidance_imports_only_the_standard_library_and_what_values_are_made_with():
    allowed = {*sys.stdlib_module_names, "marshmallow", "msgspec"}
    for path in (SERVICE / "guidance").rglob("*.py"):
        for module in imports(path):
            own = module.startswith(("service.guidance", "service.datatypes")) or module == "service.errors"
            assert own or module.partition(".")[0] in allowed, f"{name_of(path)} imports {module}"


def test_guidance_knows_neither_files_nor_time_nor_chance():
    refused = {
        "pathlib",
        "os",
        "io",
        "time",
        "datetime",
        "random",
        "uuid",
        "secrets",
        "logging",
        "socket",
        "urllib",
    }
    for path in (SERVICE / "guidance").rglob("*.py"):
        assert not refused & {module.partition(".")[0] for module in imports(path)}, name_of(path)


def test_errors_import_nothing_of_the_service():
    assert not [module for module in imports(SERVICE / "errors.py") if module.startswith("service")]


@pytest.mark.parametrize(
    ("package", "places"),
    [
        ("flask", ("service/web/", "service/app.py")),
        ("werkzeug", ("service/web/", "service/pages/")),
        ("gunicorn", ("service/web/", "service/serve.py")),
        ("gevent", ("service/web/worker.py",)),
        ("fhir", ("service/fhir/resource_models.py",)),
        ("fhirpathpy", ("service/questionnaire/fhirpath",)),
        ("pydantic", ("service/fhir/resource_models.py",)),
        ("z3", ("service/proofs",)),
        ("oxidd", ("service/authoring",)),
        ("backports", ("service/bulk/ranges.py",)),
        ("pyarrow", ("service/bulk/",)),
        ("pyspark", ("service/bulk/spark.py",)),
        ("requests", ()),
        ("pickle", ()),
    ],
)
def test_a_package_is_imported_only_in_its_place(package, places):
    assert [path for path in importers(package) if not path.startswith(places or "nowhere")] == []


def test_the_program_has_no_clinical_words():
    paths = [path for path in SERVICE.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".zip")]
    assert [name_of(path) for path in paths if CLINICAL.search(path.name + path.read_text())] == []


def test_modules_and_functions_stay_short():
    long = [name_of(path) for path in MODULES if len(path.read_text().splitlines()) > LONGEST_MODULE]
    long += [
        f"{name_of(path)}: {node.name}"
        for path in MODULES
        for node in nodes_of(path, (ast.FunctionDef, ast.AsyncFunctionDef))
        if length_without_docstring(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_nine_functions_in_ten_have_under_twenty_lines():
    functions = [node for path in MODULES for node in nodes_of(path, ast.FunctionDef)]
    long = [node for node in functions if length_without_docstring(node) >= 20]
    assert len(long) <= len(functions) / 10


def test_a_class_has_a_name_that_says_what_it_is():
    classes = [(name_of(path), node.name) for path in MODULES for node in nodes_of(path, ast.ClassDef)]
    assert [(path, name) for path, name in classes if VAGUE.search(name)] == []


def test_every_module_says_what_it_is_for():
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))] == []


def test_the_rooms_are_those_of_the_architecture():
    packages = {path.parent.name for path in SERVICE.glob("*/__init__.py")}
    assert packages == set(ROOMS)
    assert {path.stem for path in SERVICE.glob("*.py")} == {"__init__", *TOP}


def test_a_small_module_serves_more_than_one_reader():
    """Under 60 lines and read by one: it belongs to its reader, since a split only to be short is a fault."""
    modules = by_module()
    read_by = dict.fromkeys(modules, 0)
    for reader, path in modules.items():
        for module in read_modules(path, modules):
            read_by[module] += module != reader
    small = [
        module
        for module, path in modules.items()
        if path.stem != "__init__" and len(path.read_text().splitlines()) < 60
    ]
    slivers = [module for module in small if read_by[module] == 1]
    assert [module for module in slivers if module not in ALONE] == []


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-docs.txt", "requirements-spark.txt"]
)
def test_a_lock_file_has_exact_versions_with_hashes_and_names_no_index(name):
    text = (ROOT / name).read_text()
    assert "://" not in text
    pinned = re.findall(r"^([A-Za-z0-9._-]+)(==\S+)?.*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert pinned
    assert all(version for _, version in pinned)


def test_the_lock_files_agree_and_hold_every_requirement():
    def locked(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    def named(requirements: list[str]) -> set[str]:
        return {re.sub(r"[._]", "-", re.match(r"[\w.-]+", text)[0]).lower() for text in requirements}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed, groups = project["project"]["dependencies"], project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    runtime, development = locked("requirements.txt"), locked("requirements-dev.txt")
    assert runtime.items() <= development.items()
    assert named(needed) <= runtime.keys()
    assert named([*needed, *extras["bulk"], *extras["proofs"], *groups["test"]]) <= development.keys()
    assert named(groups["docs"]) <= locked("requirements-docs.txt").keys()
