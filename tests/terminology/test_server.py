"""A terminology server that is right, wrong, away, slow, or answers rubbish: what becomes of the doubt."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from loopback_servers import QuietHandler, listening
from patience import PATIENCE_S

from service.errors import Lookup, Problem
from service.terminology.server import MAX_QUESTIONS, REST_S, TerminologyServer

LOOKUP = Lookup((("ValueSet", "http://v|2"),), "http://s", "c", ("answer-option", "Outside."))
UNDECIDED = Problem(
    "membership-undecided", "Undecided.", "QuestionnaireResponse.item[0]", "information", lookup=LOOKUP
)
OTHER = Problem("required", "Required.", "QuestionnaireResponse")


class Fake:
    """A server on the loopback address; `answer` writes each answer, `asked` has the questions."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []
        self.done = threading.Event()


@contextmanager
def running(fake: Fake) -> Iterator[str]:
    class Handler(QuietHandler):
        def do_POST(self) -> None:
            fake.asked.append((self.path, json.loads(self.body())))
            fake.answer(self)

    with listening(Handler) as server:
        try:
            yield f"http://127.0.0.1:{server.server_port}/r4"
        finally:
            fake.done.set()


def says(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def verdict(*, result: object, **more: Any) -> bytes:
    parameters = [
        {"name": "result", "valueBoolean": result},
        *({"name": name, **one} for name, one in more.items()),
    ]
    return json.dumps({"resourceType": "Parameters", "parameter": parameters}).encode()


def settled(fake: Fake, *problems: Problem, timeout_s: float = 60.0) -> tuple[Problem, ...]:
    with running(fake) as base:
        return TerminologyServer(base, timeout_s).settled(problems)


def test_a_code_that_the_server_knows_is_no_problem() -> None:
    fake = Fake(says(verdict(result=True)))
    assert settled(fake, OTHER, UNDECIDED) == (OTHER,)
    ((path, sent),) = fake.asked
    assert path == "/r4/ValueSet/$validate-code"
    assert {
        one["name"]: one.get("valueUri", one.get("valueCode", one.get("valueString")))
        for one in sent["parameter"]
    } == {"url": "http://v", "valueSetVersion": "2", "system": "http://s", "code": "c"}


def test_a_code_that_the_server_denies_is_an_error_in_our_words() -> None:
    fake = Fake(says(verdict(result=False, message={"valueString": "theirs"}, display={"valueString": "x"})))
    assert settled(fake, UNDECIDED) == (Problem("answer-option", "Outside.", UNDECIDED.expression, "error"),)


def test_a_code_system_is_asked_by_its_own_operation() -> None:
    fake = Fake(says(verdict(result=True)))
    lookup = Lookup((("CodeSystem", "http://s|1"),), "http://s", "c", LOOKUP.refused)
    assert settled(fake, Problem("membership-undecided", "?", lookup=lookup)) == ()
    ((path, sent),) = fake.asked
    assert path == "/r4/CodeSystem/$validate-code"
    assert [one["name"] for one in sent["parameter"]] == ["url", "code", "version"]


def test_one_of_several_value_sets_is_enough() -> None:
    def second_only(handler: BaseHTTPRequestHandler) -> None:
        says(verdict(result="two" in json.dumps(fake.asked[-1])))(handler)

    fake = Fake(second_only)
    lookup = Lookup((("ValueSet", "http://one"), ("ValueSet", "http://two")), "http://s", "c", LOOKUP.refused)
    assert settled(fake, Problem("membership-undecided", "?", lookup=lookup)) == ()
    assert len(fake.asked) == 2


ISSUES = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-found"}]}


@pytest.mark.parametrize(
    ("answer", "did"),
    [
        (says(b"{"), "gave an answer that cannot be read"),
        (says(b"<html>"), "gave an answer that cannot be read"),
        (says(b"[]"), "gave an answer that cannot be read"),
        (says(b'{"resourceType": "OperationOutcome"}'), "gave an answer that cannot be read"),
        (says(b'{"resourceType": "Parameters"}'), "gave an answer that cannot be read"),
        (says(verdict(result="true")), "gave an answer that cannot be read"),
        (says(b" " * 300_000), "gave an answer that cannot be read"),
        (says(b"{}", Content_Length="9"), "gave an answer that cannot be read"),
        (says(verdict(result=True), 301, Location="http://127.0.0.1:9/"), "referred to another address"),
        (says(verdict(result=True), 307, Location="/r4/other"), "referred to another address"),
        (says(b"{}", 404), "cannot tell either"),
        (says(b"{}", 422), "cannot tell either"),
        (says(b"{}", 401), "cannot tell either"),
        (says(b"{}", 500), "could not be reached"),
        (says(b"{}", 429), "could not be reached"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "could not be reached"),
        (lambda handler: handler.connection.close(), "could not be reached"),
        (says(verdict(result=False, issues={"resource": ISSUES})), "cannot tell either"),
        (
            says(verdict(result=False, **{"x-unknown-system": {"valueCanonical": "http://s"}})),
            "cannot tell either",
        ),
    ],
)
def test_whatever_goes_wrong_leaves_it_undecided_with_the_reason(
    answer: Callable[[BaseHTTPRequestHandler], None], did: str
) -> None:
    fake = Fake(answer)
    (left,) = settled(fake, UNDECIDED)
    assert (left.kind, left.severity, left.expression) == (
        "membership-undecided",
        "information",
        UNDECIDED.expression,
    )
    assert left.text.startswith(f"Undecided. The terminology server {did}")
    assert len(fake.asked) == 1


def test_a_server_that_is_slow_is_not_waited_for() -> None:
    def never(_: BaseHTTPRequestHandler) -> None:
        fake.done.wait(PATIENCE_S)

    fake = Fake(never)
    (left,) = settled(fake, UNDECIDED, timeout_s=0.2)
    assert left.text.endswith("The terminology server took too long.")


def test_an_answer_that_drips_in_is_cut() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not fake.done.wait(0.02):
            handler.wfile.write(b"X-Drip: 1\r\n")

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            drip(handler)

    fake = Fake(dripping)
    (left,) = settled(fake, UNDECIDED, timeout_s=0.3)
    assert left.text.endswith("The terminology server took too long.")


def test_a_server_that_is_away_leaves_it_undecided_and_is_left_alone_for_a_while() -> None:
    now = [100.0]
    fake = Fake(says(b"", 500))
    with running(fake) as base:
        server = TerminologyServer(base, 5.0, lambda: now[0])
        for _ in range(3):
            (left,) = server.settled([UNDECIDED])
            assert left.text.endswith("The terminology server could not be reached.")
        assert len(fake.asked) == 1
        fake.answer = says(verdict(result=True))
        now[0] += REST_S + 1
        assert server.settled([UNDECIDED]) == ()


def test_a_server_that_is_not_there_leaves_it_undecided() -> None:
    with running(Fake(says(b""))) as base:
        pass
    (left,) = TerminologyServer(base, 5.0).settled([UNDECIDED])
    assert left.text.endswith("The terminology server could not be reached.")


def test_a_verdict_is_kept_for_a_while_and_only_so_many() -> None:
    now = [0.0]
    fake = Fake(says(verdict(result=False)))
    with running(fake) as base:
        server = TerminologyServer(base, 5.0, lambda: now[0])
        for _ in range(2):
            assert [problem.kind for problem in server.settled([UNDECIDED, UNDECIDED])] == [
                "answer-option"
            ] * 2
        assert len(fake.asked) == 1
        now[0] += 3601
        server.settled([UNDECIDED])
        assert len(fake.asked) == 2


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.terminology.server.CACHED", 2)
    fake = Fake(says(verdict(result=True)))
    with running(fake) as base:
        server = TerminologyServer(base, 5.0)
        for code in ("a", "b", "a", "c", "a", "b"):
            assert server.settled([asking(code)]) == ()
    assert [codes(sent) for _, sent in fake.asked] == ["a", "b", "c", "b"]


def test_only_so_many_questions_are_asked_for_one_response() -> None:
    fake = Fake(says(verdict(result=True)))
    left = settled(fake, *(asking(str(number)) for number in range(MAX_QUESTIONS + 2)))
    assert len(fake.asked) == MAX_QUESTIONS
    assert [problem.text for problem in left] == [
        "? The terminology server is asked at most 50 questions at once."
    ] * 2


def test_once_the_time_is_up_nothing_more_is_asked() -> None:
    times = iter([0.0, 0.0, 9.0])
    fake = Fake(says(verdict(result=True)))
    with running(fake) as base:
        (left,) = TerminologyServer(base, 5.0, lambda: next(times, 9.0)).settled([asking("a")])
    assert left.text.endswith("The terminology server took too long.")
    assert fake.asked == []


def asking(code: str) -> Problem:
    return Problem("membership-undecided", "?", lookup=Lookup(LOOKUP.asks, "http://s", code, LOOKUP.refused))


def codes(sent: Any) -> str:
    (code,) = (one["valueCode"] for one in sent["parameter"] if one["name"] == "code")
    return str(code)
