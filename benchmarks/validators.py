"""How many responses are validated in a second: here, by HAPI, by Medplum and by fhir.resources.

    python -m benchmarks.validators [--rounds 5] [--only HAPI]

The same 100 responses, those of the first worked cases of the largest guidance, from bytes to a verdict. Each
program is warm and bound to one core; they take turns. What counts is the processor time of the process: what
else the machine does hardly changes it. They do not check the same: below the figures stands which of them
notices what. HAPI (Java and Maven) and Medplum (Node) are left out where they are not on the machine, and
the first lines say so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from service import catalogue
from service.assess import Assessor
from service.catalogue import Catalogue, Pair
from service.errors import ServiceError
from service.fhir.json import BodyLimits
from service.settings import ROOT, Settings
from service.validate import Validator
from tests.support.case_responses import questions_of, response_of
from tests.support.java_programs import hapi_command, missing_for_hapi

RESPONSES = 100
OURS, SCORED = "this service, $validate", "this service, $assess"
OTHERS = ("HAPI", "Medplum", "fhir.resources")
PASSES = {OURS: 5, SCORED: 20, "HAPI": 1, "Medplum": 2, "fhir.resources": 5}
WARM_S = {"HAPI": 20.0, "Medplum": 3.0}
"""Processor time until a just-in-time compiler has seen enough."""

Json = dict[str, Any]
IsFaulty = Callable[[bytes], bool]


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=OTHERS, action="append", help="leave the other programs out")
    parser.add_argument("--serve", choices=(OURS, SCORED, "fhir.resources"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        answer(asked.serve)
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        places = written(Path(folder))
        programs = {
            name: stack.enter_context(running(command))
            for name, command in commands(places["definitions"], asked.only or OTHERS)
        }
        for name, program in programs.items():
            warm(name, program, places["responses"])
        rounds = [
            {name: rate(program, PASSES[name], places["responses"]) for name, program in programs.items()}
            for _ in range(asked.rounds)
        ]
        noticed = {name: set(program(1, places["faults"])["faulty"]) for name, program in programs.items()}
    report(rounds)
    for fault in FAULTS:
        told = ", ".join(name for name in programs if f"{fault}.json" in noticed[name])
        print(f"  {fault}: noticed by {told}")


def report(rounds: list[dict[str, float]]) -> None:
    print(f"{RESPONSES} responses, one core each: validated in a second of processor time")
    for name in rounds[0]:
        rates = [one[name] for one in rounds]
        times = statistics.median(one[OURS] / one[name] for one in rounds)
        print(f"  {name:<24}{statistics.median(rates):8.0f}   ours / this {times:7.1f}")


# The programs: each takes lines with a number of passes and a folder, and answers each with a line of JSON.

Program = Callable[[int, Path], Json]


def commands(definitions: Path, others: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields the command of this service and of each other program that can run here; says which cannot."""
    for name in (OURS, SCORED, "fhir.resources"):
        if name not in OTHERS or name in others:
            yield name, [sys.executable, "-m", "benchmarks.validators", "--serve", name]
    if "Medplum" in others:
        if (ROOT / "tests/validators/node_modules/.package-lock.json").is_file() and shutil.which("node"):
            yield "Medplum", ["node", str(ROOT / "benchmarks/medplum.mjs")]
        else:
            print("left out: Medplum (needs Node, and `npm ci --ignore-scripts` in tests/validators)")
    if "HAPI" in others:
        if missing := missing_for_hapi():
            print(f"left out: HAPI ({missing})")
        else:
            yield "HAPI", [*hapi_command(), "clients.Rounds", str(definitions)]


@contextmanager
def running(command: list[str]) -> Iterator[Program]:
    """Runs a program on one core while the block runs."""
    core = str(min(os.sched_getaffinity(0)))
    with subprocess.Popen(
        ["taskset", "--cpu-list", core, *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def program(passes: int, folder: Path) -> Json:
            asked.write(f"{passes} {folder}\n".encode())
            asked.flush()
            line = answers.readline()
            if not line:
                raise SystemExit(f"{command[0]} ended with {process.wait()}")
            return dict(orjson.loads(line))

        yield program
        asked.close()


def warm(name: str, program: Program, folder: Path) -> None:
    """Lets a program work until it is warm; all of the responses must be right to it."""
    used = 0.0
    while used < WARM_S.get(name, 1.0):
        done = program(1, folder)
        used += done["seconds"]
        if done["faulty"]:
            raise SystemExit(f"{name} finds faults in what should have none: {done['faulty'][:3]}")


def rate(program: Program, passes: int, folder: Path) -> float:
    """Returns the responses in a second of processor time."""
    return RESPONSES * passes / float(program(passes, folder)["seconds"])


def answer(name: str) -> None:
    """Is one of the programs in Python."""
    is_faulty = {OURS: validates, SCORED: scores, "fhir.resources": models}[name]()
    folders: dict[str, dict[str, bytes]] = {}
    for line in sys.stdin:
        passes, folder = line.split()
        if folder not in folders:
            folders[folder] = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
        faulty: list[str] = []
        before = time.process_time()
        for _ in range(int(passes)):
            faulty = [file for file, body in folders[folder].items() if is_faulty(body)]
        seconds = time.process_time() - before
        print(orjson.dumps({"seconds": seconds, "faulty": faulty}).decode(), flush=True)


def validates() -> IsFaulty:
    validator = Validator(served(), limits())
    return lambda body: any(problem.severity in ("error", "fatal") for problem in validator.validated(body))


def scores() -> IsFaulty:
    assessor = Assessor(served(), limits())

    def is_faulty(body: bytes) -> bool:
        try:
            assessor.assess_body(body)
        except ServiceError:
            return True
        return False

    return is_faulty


def models() -> IsFaulty:
    from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

    def is_faulty(body: bytes) -> bool:
        try:
            QuestionnaireResponse.model_validate_json(body)
        except ValueError:
            return True
        return False

    return is_faulty


def served() -> Catalogue:
    settings = Settings()
    return catalogue.read(settings.questionnaires_dir, settings.mappings_dir)


def limits() -> BodyLimits:
    settings = Settings()
    return BodyLimits(settings.max_body_bytes, settings.max_depth)


# What they judge.


def written(folder: Path) -> dict[str, Path]:
    """Writes what is judged and what is known meanwhile; returns the folders."""
    known = served()
    pair = max(known.pairs.values(), key=lambda pair: len(pair.guidance.form.questions))
    definitions = {f"{kind}-{name}": artifact.resource for (kind, name), artifact in known.artifacts.items()}
    completed = (response_of(pair, case) for case in pair.guidance.cases if case.status == "completed")
    is_faulty = validates()
    whole = (response for response in completed if not is_faulty(orjson.dumps(response)))
    responses = {f"{number:03}": response for number, response in enumerate(islice(whole, RESPONSES))}
    kinds = {"definitions": definitions, "responses": responses, "faults": faults(responses["000"], pair)}
    for kind, documents in kinds.items():
        (folder / kind).mkdir()
        for name, document in documents.items():
            (folder / kind / f"{name}.json").write_bytes(orjson.dumps(document))
    return {kind: folder / kind for kind in kinds}


FAULTS = (
    "a status that R4 does not have",
    "a text where an item has a number",
    "an element that R4 does not have",
    "a question that the form does not have",
    "an option that the question does not have",
    "two answers where one is asked for",
    "a required answer that is missing",
)


def faults(response: Json, pair: Pair) -> dict[str, Json]:
    """Returns the response with one fault each."""
    questions = questions_of(pair.compiled.resource)
    made = {name: deepcopy(response) for name in FAULTS}
    for name, document in made.items():
        items = document["item"]
        parents = list(groups(items))
        choice = next(
            item for item in every(items) if item.get("answer") and "valueCoding" in item["answer"][0]
        )
        match FAULTS.index(name):
            case 0:
                document["status"] = "done"
            case 1:
                choice["answer"] = [{"valueInteger": "three"}]
            case 2:
                document["shoe"] = "44"
            case 3:
                choice["linkId"] = "no-such-question"
            case 4:
                choice["answer"][0]["valueCoding"] = {"system": "urn:x", "code": "no-such-option"}
            case 5:
                single = next(item for item in every(items) if is_single(item, questions))
                single["answer"] *= 2
            case 6:
                required = next(item for item in every(items) if questions[item["linkId"]].get("required"))
                next(held for held in parents if required in held).remove(required)
    return made


def every(items: list[Json]) -> Iterator[Json]:
    for item in items:
        yield item
        yield from every(item.get("item", []))


def groups(items: list[Json]) -> Iterator[list[Json]]:
    yield items
    for item in items:
        yield from groups(item.get("item", []))


def is_single(item: Json, questions: dict[str, Json]) -> bool:
    return "answer" in item and not questions[item["linkId"]].get("repeats")


if __name__ == "__main__":
    main()
