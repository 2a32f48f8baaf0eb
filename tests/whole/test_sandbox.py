"""Questionnaires that come with a response: what they run, runs in a process of its own, within limits."""

import fcntl
import gc
import logging
import mmap
import os
import re
import resource
import select
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import orjson
import pytest
from costly_bodies import requests
from gunicorn_server import answer_from, get, post, serving

from service import sandbox
from service.app import create_app
from service.assess import Assessor
from service.catalogue import Catalogue
from service.datatypes.values import replace
from service.errors import Malformed, NotScorable, Problem, ServiceError, TooLarge, Unavailable
from service.fhir import extensions
from service.fhir.json import BodyLimits
from service.questionnaire import compile_leniently, validate
from service.sandbox import PLACES, SMALL_BYTES, LimitExceeded, Sandbox, SandboxLimits, TooMuchHere
from service.settings import ROOT, Settings
from service.terminology import ValueSets
from service.validate import Validator

Json = dict[str, Any]

# A child is nice: on a busy machine one second of the processor can take it minutes.
LIMITS = SandboxLimits(cpu_s=1, wall_s=600.0, memory_bytes=256 * 1024 * 1024)
SAMPLES = ROOT / "samples"
MIB = 1024
"""In the unit of ru_maxrss, which is KiB."""


def run_limited(work: Callable[[], bytes], limits: SandboxLimits) -> bytes:
    return Sandbox(limits, places=1).run(work)


def extension(url: str, expression: str, **more: str) -> Json:
    value = {"language": "text/fhirpath", "expression": expression, **more}
    return {"url": url, "valueExpression": value}


def question(link: str, *extensions_of_it: Json) -> Json:
    plain = {"linkId": link, "text": link, "type": "string"}
    return plain | {"extension": list(extensions_of_it)} if extensions_of_it else plain


def response(items: list[Json], **form: Any) -> Json:
    answers = [{"linkId": item["linkId"], "answer": [{"valueString": "x"}]} for item in items]
    contained = {"resourceType": "Questionnaire", "id": "q", "status": "active", "item": items, **form}
    return {
        "resourceType": "QuestionnaireResponse",
        "contained": [contained],
        "questionnaire": "#q",
        "status": "completed",
        "item": answers,
    }


def long_expression() -> Json:
    return response([question("a", extension(extensions.ENABLE_WHEN_EXPRESSION, "1" + "+1" * 3000))])


def many_patterns() -> Json:
    patterns = (f"(?:x{{{number + 900}}}y?){{900}}" for number in range(300))
    found = ({"url": extensions.REGEX, "valueString": pattern} for pattern in patterns)
    return response([question(f"a{number}", pattern) for number, pattern in enumerate(found)])


def doubling_variables() -> Json:
    texts = ["'xxxxxxxxxxxxxxxx'", *(f"%v{number} & %v{number}" for number in range(39))]
    variables = [extension(extensions.VARIABLE, text, name=f"v{number}") for number, text in enumerate(texts)]
    item = question("a", extension(extensions.ENABLE_WHEN_EXPRESSION, "%v39 = 'x'"))
    return response([item], extension=variables)


def harmless() -> Json:
    """A form with an expression and patterns, one of which the answer does not fit."""
    rule = {"url": extensions.REGEX, "valueString": "[0-9]+"}
    enabled = extension(extensions.ENABLE_WHEN_EXPRESSION, "%resource.item.count() > 5")
    return response([question("a", rule), question("b", enabled)])


def files_and_children() -> tuple[int, str]:
    """How many files this process has open, and its children, those that nobody reaped included."""
    gc.collect()  # a sandbox that is no longer used closes its files
    children = Path("/proc/thread-self/children").read_text()
    return len(list(Path("/proc/self/fd").iterdir())), children


@pytest.fixture(scope="module")
def strict(served: Catalogue) -> Validator:
    return Validator(served, BodyLimits(), Sandbox(LIMITS))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = files_and_children()
    yield
    assert files_and_children() == before


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("hostile", [long_expression, many_patterns, doubling_variables])
def test_a_hostile_form_costs_one_problem_and_no_memory(
    hostile: Callable[[], Json], strict: Validator
) -> None:
    body = orjson.dumps(hostile())
    before = peak()
    (problem,) = strict.validated(body)
    assert (problem.kind, problem.severity) == ("too-costly", "error")
    assert problem.expression == "QuestionnaireResponse"
    assert "1 s and 256 MiB" in problem.text
    assert peak() - before < 32 * MIB


def test_a_response_with_a_hostile_form_is_not_processed(strict: Validator) -> None:
    with pytest.raises(NotScorable) as refused:
        strict.processed(orjson.dumps(doubling_variables()))
    assert "too-costly" in {problem.kind for problem in refused.value.problems}


def test_a_harmless_form_has_the_same_problems_as_in_process(strict: Validator) -> None:
    found = strict.validated(orjson.dumps(harmless()))
    assert found == validate(harmless())
    assert {"pattern", "disabled-item"} <= {problem.kind for problem in found}


def test_every_form_that_comes_with_a_response_is_checked_apart(
    strict: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict._sandbox, "run", lambda _work: pytest.fail("a child"))
    plain = response([question("a")])
    with pytest.raises(pytest.fail.Exception):
        strict.validated(orjson.dumps(plain))
    assert strict.validated(orjson.dumps(plain | {"questionnaire": "https://forms.example.org/q"}))


def test_the_result_of_the_child_arrives_whole() -> None:
    result = bytes(range(256)) * 4096
    assert run_limited(lambda: result, LIMITS) == result


def test_a_child_that_runs_out_of_memory_is_beyond_its_limits() -> None:
    with pytest.raises(LimitExceeded):
        run_limited(lambda: bytes(64 * 1024 * 1024)[:1], replace(LIMITS, memory_bytes=1024 * 1024))


def test_a_child_whose_interpreter_gives_up_for_want_of_memory_is_beyond_its_limits() -> None:
    def work() -> int:
        raise SystemError("error return without exception set")

    with pytest.raises(LimitExceeded):
        Sandbox(LIMITS).call(work, int)


def test_a_child_that_computes_for_too_long_is_beyond_its_limits() -> None:
    def work() -> bytes:
        while process_time() < 2 * LIMITS.cpu_s:
            pass
        return b"late"

    with pytest.raises(LimitExceeded):
        run_limited(work, LIMITS)


def test_a_child_that_is_killed_half_way_is_beyond_its_limits() -> None:
    with pytest.raises(LimitExceeded):
        run_limited(kill_itself, LIMITS)


def test_a_child_that_has_no_processor_in_time_is_killed_and_the_service_is_busy(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    def work() -> bytes:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        select.select([], [], [], 2.0)
        trace.touch()
        return b""

    with pytest.raises(Unavailable):
        run_limited(work, replace(LIMITS, wall_s=0.1))
    assert not trace.exists()


def test_a_child_that_fails_or_sends_too_much_is_beyond_its_limits() -> None:
    with pytest.raises(LimitExceeded):
        run_limited(lambda: bytes(1 // 0), LIMITS)
    with pytest.raises(LimitExceeded):
        run_limited(lambda: bytes(200_000), replace(LIMITS, result_bytes=1000))


def test_a_child_has_no_file_of_ours_and_no_signal_handler() -> None:
    def work() -> bytes:
        ways = {signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)}
        return orjson.dumps([files_and_children()[0], ways == {signal.SIG_DFL}])

    standard_streams_the_pipe_the_place_and_the_folder = 6
    assert orjson.loads(run_limited(work, LIMITS)) == [
        standard_streams_the_pipe_the_place_and_the_folder,
        True,
    ]


def test_without_a_process_to_be_had_the_service_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(sandbox.posix, "fork", refused)
    with pytest.raises(Unavailable):
        run_limited(lambda: b"", LIMITS)


def test_what_fails_in_a_child_fails_here_and_is_logged(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with os.fdopen(2, "w", closefd=False) as stderr:
        monkeypatch.setattr(sandbox._LOG, "handlers", [logging.StreamHandler(stderr)])
        with pytest.raises(RuntimeError):
            Sandbox(LIMITS).call(lambda: 1 // 0, int)
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize("error", [Malformed, NotScorable, TooLarge])
def test_a_refusal_in_a_child_is_the_refusal_here(error: type[ServiceError]) -> None:
    problems = (
        Problem("code", "Expected: “a”.", "QuestionnaireResponse.status"),
        Problem("json", "b", "", "fatal"),
    )

    def work() -> int:
        raise error(*problems)

    with pytest.raises(error) as refused:
        Sandbox(LIMITS).call(work, int)
    assert (type(refused.value), refused.value.problems) == (error, problems)


# The places: how many children work at a time, in all processes that share the sandbox.


class Counter:
    """Counts in memory that processes share: who is at work, and the most that were at the same time."""

    def __init__(self, lock: Path) -> None:
        self._shared = mmap.mmap(-1, 2)
        self._lock = lock

    def work(self) -> bytes:
        self._add(1)
        select.select([], [], [], 0.05)
        self._add(-1)
        return b""

    @property
    def most(self) -> int:
        return self._shared[1]

    def _add(self, number: int) -> None:
        with self._lock.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._shared[0] += number
            self._shared[1] = max(self._shared[:2])


def test_all_processes_together_have_no_more_children_than_places(tmp_path: Path) -> None:
    shared, counter = Sandbox(replace(LIMITS, wait_s=60.0), places=3), Counter(tmp_path / "lock")

    def twelve_requests() -> int:
        threads = [threading.Thread(target=shared.run, args=(counter.work,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 0

    in_processes(twelve_requests, twelve_requests)
    assert 1 < counter.most <= 3


def in_processes(*works: Callable[[], int]) -> None:
    """Does each of the works in a process of its own, all at the same time."""
    children = [os.fork() for _ in works]
    for child, work in zip(children, works, strict=True):
        if child == 0:
            os._exit(work())
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(works)


def test_a_place_is_free_again_when_its_child_or_its_worker_was_killed() -> None:
    one = Sandbox(replace(LIMITS, wait_s=0.0), places=1)
    with pytest.raises(LimitExceeded):
        one.run(kill_itself)
    assert one.run(lambda: b"x") == b"x"
    worker = os.fork()
    if worker == 0:
        with one._place():
            kill_itself()
    os.waitpid(worker, 0)
    assert one.run(lambda: b"x") == b"x"


def kill_itself() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def test_a_child_keeps_its_place_when_its_worker_was_killed() -> None:
    """Else a worker that is killed over and over would let its children take more than the budget."""
    one = Sandbox(replace(LIMITS, wait_s=0.0), places=1)

    def work() -> bytes:
        os.kill(os.getppid(), signal.SIGKILL)
        select.select([], [], [], 1.0)
        return b""

    worker = os.fork()
    if worker == 0:
        one.run(work)
    os.waitpid(worker, 0)
    with pytest.raises(Unavailable):
        one.run(lambda: b"x")
    one.limits = replace(one.limits, wait_s=60.0)
    assert one.run(lambda: b"x") == b"x"


def test_no_more_children_than_places(served: Catalogue) -> None:
    full = Sandbox(replace(LIMITS, wait_s=0.0), places=1)
    with full._place():
        with pytest.raises(Unavailable) as busy:
            full.run(lambda: b"")
        with pytest.raises(Unavailable):
            Validator(served, BodyLimits(), full).validated(orjson.dumps(long_expression()))
        with pytest.raises(Unavailable):
            Validator(served, BodyLimits(), full).processed(orjson.dumps(long_expression()))
    assert ([problem.kind for problem in busy.value.problems], busy.value.retry_after_s) == (
        ["sandbox-busy"],
        1,
    )
    assert full.run(lambda: b"x") == b"x"


def test_the_server_serves_others_while_a_hostile_form_is_checked() -> None:
    request = post(orjson.dumps(long_expression()), path="/fhir/QuestionnaireResponse/$validate")
    with serving("service.app:from_environment()", WORKERS="1") as server, server.connect() as hostile:
        hostile.sendall(request)
        assert server.ask(get("/healthz")).status == 200
        assert select.select([hostile], [], [], 0)[0] == [], "the hostile form is still being checked"
        assert [server.ask(get("/healthz")).status for _ in range(9)] == [200] * 9
        answer = answer_from(hostile)
        for _ in range(20):  # a machine without two seconds for the child in twenty says so: ask again
            answer = server.ask(request) if answer.status == 503 else answer
        assert answer.status == 200
        assert [issue["code"] for issue in answer.document["issue"]] == ["too-costly"]
        assert server.ask(get("/healthz")).status == 200


# What is done in a child is what would be done here.


def told(work: Callable[[], Any]) -> Any:
    """Returns what the work returns, or what it refuses and why."""
    try:
        return work()
    except ServiceError as refused:
        return type(refused), tuple(refused.problems)


LARGE = {
    name: body
    for name, body in requests().items()
    if name in {"unknown_items", "wrong_answers", "empty_items"}
}


@pytest.mark.parametrize("name", [*(path.stem for path in sorted(SAMPLES.glob("*.json"))), *LARGE])
def test_a_large_body_is_answered_as_it_would_be_in_this_process(name: str, served: Catalogue) -> None:
    """White space makes a sample large; an escape keeps it from the accept path."""
    body = LARGE[name].body if name in LARGE else (SAMPLES / f"{name}.json").read_bytes()
    padded = body.replace(b'"resourceType"', b" " * SMALL_BYTES + b'"resource\\u0054ype"', 1)
    limits, apart = BodyLimits(), Sandbox(replace(LIMITS, cpu_s=20))
    here, there = Assessor(served, limits), Assessor(served, limits, apart)
    assert told(lambda: here.assess_body(padded)) == told(lambda: there.assess_body(padded))
    assert told(lambda: here.judge(padded, "x")) == told(lambda: there.judge(padded, "x"))
    here, there = Validator(served, limits), Validator(served, limits, apart)
    assert told(lambda: here.validated(padded)) == told(lambda: there.validated(padded))
    assert told(lambda: here.processed(padded)) == told(lambda: there.processed(padded))


def test_a_small_body_with_many_items_is_checked_apart(
    served: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, apart = requests()["small_repeated_group"].body, Sandbox(replace(LIMITS, cpu_s=20))
    there = Validator(served, BodyLimits(), apart)
    assert len(body) <= SMALL_BYTES
    assert there.validated(body) == Validator(served, BodyLimits()).validated(body)
    monkeypatch.setattr(apart, "run", lambda _work: pytest.fail("a child"))
    with pytest.raises(pytest.fail.Exception):
        there.validated(body)
    there.validated((SAMPLES / "plain-eyelid.json").read_bytes())


def test_what_takes_too_much_is_not_scored(served: Catalogue) -> None:
    body = requests()["scored_repeated_group"].body
    with pytest.raises(NotScorable) as refused:
        Assessor(served, BodyLimits(), Sandbox(replace(LIMITS, memory_bytes=8 * 1024 * 1024))).assess_body(
            body
        )
    assert [problem.kind for problem in refused.value.problems] == ["too-costly"]


def test_whoever_finds_no_place_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = create_app(Settings(store_url=f"sqlite:///{tmp_path / 'x.db'}")).test_client()
    monkeypatch.setattr(Sandbox, "_free_place", lambda _self: None)
    monkeypatch.setattr(sandbox, "monotonic", iter(range(0, 10**6, 10)).__next__)
    form, large = orjson.dumps(harmless()), requests()["repeated_group"].body
    for path, body in (
        ("QuestionnaireResponse/$validate", form),
        ("QuestionnaireResponse/$validate", large),
        ("Questionnaire/$process-response", form),
        ("QuestionnaireResponse/$assess", large),
        ("QuestionnaireResponse", large),
    ):
        answer = client.post(f"/fhir/{path}", data=body, headers={"Content-Type": "application/fhir+json"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert [issue["code"] for issue in orjson.loads(answer.data)["issue"]] == ["throttled"]
    request = {"method": "POST", "url": "QuestionnaireResponse/$validate"}
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"resource": harmless(), "request": request}],
    }
    answer = client.post("/fhir", json=batch, headers={"Content-Type": "application/fhir+json"})
    (entry,) = orjson.loads(answer.data)["entry"]
    assert entry["response"]["status"] == "503 Service Unavailable"


@pytest.mark.parametrize(
    "item",
    [
        question("a", {"url": extensions.REGEX, "valueString": "x"}),
        question("a", extension(extensions.ENABLE_WHEN_EXPRESSION, "true")),
    ],
)
def test_a_served_form_with_a_pattern_or_an_expression_is_checked_apart(item: Json) -> None:
    sent = response([item])
    form = compile_leniently(sent["contained"][0], ValueSets())
    with pytest.raises(TooMuchHere):
        form.check(sent, apart=False)
    plain = compile_leniently(response([question("a")])["contained"][0], ValueSets())
    assert plain.check(sent, apart=False) == plain.check(sent)


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def own_memory(pid: int) -> int:
    """Returns the bytes that a process has for itself, and nothing for one that is no more."""
    try:
        found = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(size) for size in re.findall(r"Private_(?:Clean|Dirty): +(\d+) kB", found)) * 1024


def test_requests_that_want_much_memory_stay_within_the_budget_together() -> None:
    request = post(orjson.dumps(doubling_variables()), path="/fhir/QuestionnaireResponse/$validate")
    taken: list[tuple[int, int]] = []
    with serving("service.app:from_environment()", STORE_URL="none", SANDBOX_MEMORY_MIB="512") as server:
        senders = [threading.Thread(target=server.ask, args=(request,)) for _ in range(8)]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            at_work = [child for worker in children_of(server.process.pid) for child in children_of(worker)]
            taken.append((len(at_work), sum(map(own_memory, at_work))))
            select.select([], [], [], 0.02)
    assert 1 < max(count for count, _ in taken) <= PLACES
    assert 0 < max(memory for _, memory in taken) <= 512 * 1024 * 1024
