"""Two services on one PostgreSQL, behind nginx: what one writes the other sees, and nothing is lost."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from fhir_client import Answer, Ehr, Json, over_http
from gunicorn_server import get
from running_service import new_database, running
from sample_responses import identified, new_patient, new_value, strain

from benchmarks.local_nginx import NoProxy, proxy
from benchmarks.local_postgresql import Server

AT_ONCE = 8


@dataclass(frozen=True)
class Services:
    """Both services, and both through the proxy, which asks them in turn."""

    one: Ehr
    other: Ehr
    through: Ehr


@pytest.fixture(scope="module")
def services(postgresql_server: Server) -> Iterator[Services]:
    url = new_database(postgresql_server)
    with ExitStack() as stack:
        both = [stack.enter_context(running(url, WORKERS="2")) for _ in range(2)]
        try:
            port = stack.enter_context(proxy([server.port for server, _ in both]))
        except NoProxy as missing:
            pytest.fail(str(missing)) if os.environ.get("CI") == "true" else pytest.skip(
                f"THE PROXY: {missing}"
            )
        yield Services(both[0][1], both[1][1], over_http(port))
        for server, _ in both:
            assert server.ask(get("/readyz")).status == 200
            assert not [line for line in server.log if '"failed"' in line]


def at_once(calls: list[Callable[[], Answer]]) -> list[Answer]:
    """Makes calls at the same time, each on a connection of its own."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [answer.result() for answer in [pool.submit(call) for call in calls]]


@pytest.mark.parametrize("turned", [False, True])
def test_what_one_service_has_stored_the_other_one_reads_and_finds_at_once(
    services: Services, turned: bool
) -> None:
    writer, reader = (services.other, services.one) if turned else (services.one, services.other)
    patient = new_patient()
    for version in range(1, 4):
        stored = writer.create(strain(patient))
        assert reader.read(f"QuestionnaireResponse/{stored['id']}") == stored
        assert len(reader.found(f"RiskAssessment?subject={patient}")) == version
        changed = reader.put(f"QuestionnaireResponse/{stored['id']}", {**stored, "status": "amended"})
        assert changed.status == 200, changed.data
        assert writer.read(f"QuestionnaireResponse/{stored['id']}") == changed.json


def test_of_equal_conditional_creates_at_both_services_exactly_one_stores(services: Services) -> None:
    value = new_value()
    body, condition = strain(new_patient(), identifier=identified(value)), f"identifier={value}"
    answers = at_once(
        [
            lambda ehr=ehr: ehr.post("QuestionnaireResponse", body, if_none_exist=condition)
            for ehr in (services.one, services.other, services.through) * AT_ONCE
        ]
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 200: len(answers) - 1}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert services.one.total(f"QuestionnaireResponse?{condition}") == 1


def test_of_updates_of_one_version_at_both_services_exactly_one_wins_and_none_is_lost(
    services: Services,
) -> None:
    stored = services.one.create(strain(new_patient()))
    where = f"QuestionnaireResponse/{stored['id']}"
    for version in range(1, 4):
        answers = at_once(
            [
                lambda ehr=ehr, version=version: ehr.put(where, stored, if_match=f'W/"{version}"')
                for ehr in (services.one, services.other) * AT_ONCE
            ]
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 412: len(answers) - 1}
    history: Json = services.through.read(f"{where}/_history")
    assert history["total"] == 4


def test_every_create_through_the_proxy_that_was_acknowledged_is_found_at_both(services: Services) -> None:
    patient = new_patient()
    answers = at_once(
        [lambda: services.through.post("QuestionnaireResponse", strain(patient))] * (4 * AT_ONCE)
    )
    assert {answer.status for answer in answers} == {201}
    made = {answer.json["id"] for answer in answers}
    assert len(made) == len(answers)
    for ehr in (services.one, services.other):
        assert set(ehr.found(f"QuestionnaireResponse?subject={patient}")) == made
        assert ehr.total(f"RiskAssessment?subject={patient}") == len(made)
