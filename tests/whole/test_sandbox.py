"""Questionnaires that come with a response: what they run, runs in a process of its own, within limits."""

import os
import resource
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

import orjson
import pytest
from gunicorn_server import answer_from, get, post, serving

from service import sandbox
from service.catalogue import Catalogue
from service.errors import NotScorable
from service.fhir import extensions
from service.fhir.json import BodyLimits
from service.questionnaire import carries_code, validate
from service.sandbox import LimitExceeded, SandboxBusy, SandboxLimits, run_limited
from service.validate import Validator

Json = dict[str, Any]

LIMITS = SandboxLimits(cpu_s=1, wall_s=60.0, memory_bytes=256 * 1024 * 1024)
MIB = 1024
"""In the unit of ru_maxrss, which is KiB."""


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
    children = Path("/proc/thread-self/children").read_text()
    return len(list(Path("/proc/self/fd").iterdir())), children


@pytest.fixture(scope="module")
def strict(served: Catalogue) -> Validator:
    return Validator(served, BodyLimits(), LIMITS)


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
    assert problem.expression == "QuestionnaireResponse.contained"
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


def test_a_form_without_expressions_or_patterns_stays_in_process(
    strict: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.validate.run_limited", None)
    assert strict.validated(orjson.dumps(response([question("a")]))) == validate(response([question("a")]))


@pytest.mark.parametrize(
    "url",
    [
        extensions.VARIABLE,
        extensions.CONSTRAINT,
        extensions.TARGET_CONSTRAINT,
        extensions.ENABLE_WHEN_EXPRESSION,
        extensions.CALCULATED_EXPRESSION,
        extensions.INITIAL_EXPRESSION,
        extensions.REGEX,
    ],
)
def test_whatever_is_evaluated_or_compiled_is_seen_at_any_depth(url: str) -> None:
    deep = {"linkId": "g", "type": "group", "item": [question("a", {"url": url})]}
    assert carries_code(response([deep]))
    assert carries_code(response([], extension=[{"url": url}]))
    assert not carries_code(response([deep]) | {"questionnaire": "https://forms.example.org/q"})


def test_only_carried_code_is_evaluated_or_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extensions with other urls are not run, so that a form with them may stay in process."""
    run: list[str] = []
    parsing, compiling = "parse_expression", "compile_pattern"
    evaluating = (("expressions", parsing), ("lint", parsing), ("pattern", compiling), ("lint", compiling))
    for module, function in evaluating:
        monkeypatch.setattr(import_module(f"service.questionnaire.{module}"), function, run.append)
    known = [url for url in vars(extensions).values() if isinstance(url, str) and url.startswith("http")]
    ignored = [url for url in known if not carries_code(response([question("a", {"url": url})]))]
    assert len(ignored) > 10
    values = ({"valueString": "x"}, {"valueExpression": {"language": "text/fhirpath", "expression": "1"}})
    for value in values:
        listed = [{"url": url, **value} for url in ignored]
        validate(response([question("a", *listed)], extension=listed))
    assert run == []


def test_the_result_of_the_child_arrives_whole() -> None:
    result = bytes(range(256)) * 4096
    assert run_limited(lambda: result, LIMITS) == result


def test_a_child_that_runs_out_of_memory_is_beyond_its_limits() -> None:
    with pytest.raises(LimitExceeded):
        run_limited(lambda: bytes(64 * 1024 * 1024)[:1], replace(LIMITS, memory_bytes=1024 * 1024))


def test_a_child_that_computes_for_too_long_is_beyond_its_limits() -> None:
    def work() -> bytes:
        while process_time() < 2 * LIMITS.cpu_s:
            pass
        return b"late"

    with pytest.raises(LimitExceeded):
        run_limited(work, replace(LIMITS, wall_s=30.0))


def test_a_child_that_is_killed_half_way_is_beyond_its_limits() -> None:
    def work() -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    with pytest.raises(LimitExceeded):
        run_limited(work, LIMITS)


def test_a_child_that_is_late_is_killed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    def work() -> bytes:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        select.select([], [], [], 2.0)
        trace.touch()
        return b""

    with pytest.raises(LimitExceeded):
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

    standard_streams_the_pipe_and_the_folder = 5
    assert orjson.loads(run_limited(work, LIMITS)) == [standard_streams_the_pipe_and_the_folder, True]


def test_without_a_process_to_be_had_the_work_is_beyond_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(sandbox.posix, "fork", refused)
    with pytest.raises(LimitExceeded):
        run_limited(lambda: b"", LIMITS)


def test_no_more_children_than_places(served: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = sandbox.threading.BoundedSemaphore(1)
    taken.acquire()
    monkeypatch.setattr(sandbox, "_free_children", lambda: taken)
    limits = replace(LIMITS, wait_s=0.0)
    with pytest.raises(SandboxBusy):
        run_limited(lambda: b"", limits)
    (problem,) = Validator(served, BodyLimits(), limits).validated(orjson.dumps(long_expression()))
    assert (problem.kind, "try again" in problem.text) == ("too-costly", True)


def test_the_server_serves_others_while_a_hostile_form_is_checked() -> None:
    request = post(orjson.dumps(long_expression()), path="/fhir/QuestionnaireResponse/$validate")
    with serving("service.app:from_environment()", WORKERS="1") as server, server.connect() as hostile:
        hostile.sendall(request)
        assert [server.ask(get("/healthz")).status for _ in range(10)] == [200] * 10
        assert select.select([hostile], [], [], 0)[0] == [], "the hostile form is still being checked"
        answer = answer_from(hostile)
        assert answer.status == 200
        assert [issue["code"] for issue in answer.document["issue"]] == ["too-costly"]
        assert server.ask(get("/healthz")).status == 200
