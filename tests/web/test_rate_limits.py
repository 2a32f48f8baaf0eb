"""How requests are counted: in memory that processes share, by client or address, check ER08."""

import os
import re
import signal
import time
from contextlib import closing
from functools import partial
from types import SimpleNamespace

import pytest
import tenants_with_tokens
from gunicorn_server import get, serving
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from tenants_with_tokens import registry_of

from service import app
from service.auth.principal import TOKEN_KIND, Principal
from service.datatypes.values import replace
from service.errors import Problem, TooManyRequests, Unauthenticated
from service.records.reach import Reach
from service.settings import CONTROLLED_RATE, Settings
from service.storage.opening import open_store
from service.web import rate_limits
from service.web.access import Access, Operator
from service.web.descriptions import READ
from service.web.gate import Gate
from service.web.proxies import Proxies
from service.web.rate_limits import LimitedGate, RateLimits, SharedMemory, counted_as
from service.web.routing import Route

NOON = 1_700_000_000 // 60 * 60.0
HERE = {"REMOTE_ADDR": "192.0.2.1"}


class Clock:
    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


def limits(per_minute, clock=time.time, *proxies):
    return RateLimits(per_minute, Proxies(proxies), SharedMemory(clock))


def client(client_id, issuer="https://ehr.example.org"):
    return Principal(TOKEN_KIND, client_id=client_id, issuer=issuer)


STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(1, 3)), max_size=40)


@examples(max_examples=40, deadline=None)
@given(STEPS, st.integers(1, 6))
@pytest.mark.parametrize("strategy", [SlidingWindowCounterRateLimiter, FixedWindowRateLimiter])
def test_the_counts_are_those_of_the_librarys_own_storage(strategy, steps, per_minute):
    clock, item = Clock(NOON + 0.123), RateLimitItemPerMinute(per_minute)  # never where a fraction is whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limits.storage.memory.time", SimpleNamespace(time=clock))
        patch.setattr("limits.strategies.time", SimpleNamespace(time=clock))
        theirs, ours = strategy(MemoryStorage()), strategy(SharedMemory(clock))
        for key, seconds, cost in steps:
            clock.at += seconds
            assert ours.test(item, key, cost=cost) == theirs.test(item, key, cost=cost)
            assert ours.hit(item, key, cost=cost) == theirs.hit(item, key, cost=cost)
            assert ours.get_window_stats(item, key) == pytest.approx(theirs.get_window_stats(item, key))


@pytest.mark.parametrize("strategy", [SlidingWindowCounterRateLimiter, FixedWindowRateLimiter])
def test_what_is_cleared_counts_no_more(strategy, clock):
    storage, item = SharedMemory(clock), RateLimitItemPerMinute(1)
    limiter = strategy(storage)
    for forget in (lambda: limiter.clear(item, "a"), storage.reset):
        assert [limiter.hit(item, "a"), limiter.hit(item, "a")] == [True, False]
        forget()
        assert limiter.test(item, "a")
    assert storage.check()
    assert storage.base_exceptions is OSError


def test_forked_processes_count_together():
    storage, item = SharedMemory(Clock()), RateLimitItemPerMinute(1000)
    limiter = SlidingWindowCounterRateLimiter(storage)
    children = [in_child(lambda: sum(limiter.hit(item, "a") for _ in range(200))) for _ in range(6)]
    assert sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children) == 1000
    assert storage.get_sliding_window(item.key_for("a"), 60)[2] == 1000


def in_child(code):
    """Forks; the child ends with what the code returns."""
    child = os.fork()
    if child == 0:
        os._exit(code())
    return child


def test_a_process_that_is_killed_in_the_midst_of_counting_stops_no_other():
    storage, item = SharedMemory(Clock()), RateLimitItemPerMinute(2)
    reading, writing = os.pipe()

    def hold():
        storage._lock(storage._found(item.key_for("a"))[1])
        os.write(writing, b"!")
        signal.pause()

    child = in_child(hold)
    os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert SlidingWindowCounterRateLimiter(storage).hit(item, "a")


def test_a_flood_of_addresses_makes_the_small_counts_forgotten_and_not_the_large(clock, monkeypatch):
    monkeypatch.setattr(rate_limits, "_GROUPS", 1)
    limited = limits(3, clock)
    for _ in range(3):
        limited.count_address(HERE)
    for number in range(100):
        limited.count_address({"REMOTE_ADDR": f"198.51.100.{number}"})
    with pytest.raises(TooManyRequests):
        limited.count_address(HERE)


def test_counts_that_are_of_no_more_use_make_room_first(clock, monkeypatch):
    monkeypatch.setattr(rate_limits, "_GROUPS", 1)
    limited = limits(3, clock)
    for number in range(8):
        for _ in range(3):
            limited.count_address({"REMOTE_ADDR": f"198.51.100.{number}"})
    clock.at += 120
    for _ in range(3):
        for number in range(8):
            limited.count_address({"REMOTE_ADDR": f"203.0.113.{number}"})
    with pytest.raises(TooManyRequests):
        limited.count_address({"REMOTE_ADDR": "203.0.113.0"})


def test_er08_a_client_is_told_when_to_come_again(clock, monkeypatch):
    monkeypatch.setattr("limits.strategies.time", SimpleNamespace(time=clock))
    monkeypatch.setattr("service.web.rate_limits.time", SimpleNamespace(time=clock))
    limited = limits(2, clock)
    clock.at += 10
    for _ in range(2):
        limited.count_client(client("app"))
    with pytest.raises(TooManyRequests) as refused:
        limited.count_client(client("app"))
    assert refused.value.retry_after_s == 50
    assert [problem.kind for problem in refused.value.problems] == ["client-rate"]
    clock.at += 50 + 30
    limited.count_client(client("app"))


def test_er08_windows_are_of_seconds_that_go_by_so_a_clock_that_is_set_back_keeps_nobody_out():
    """The system has one such clock for all processes, which share the counts."""
    assert SharedMemory()._clock is time.monotonic
    assert "CLOCK_MONOTONIC" in time.get_clock_info("monotonic").implementation


def test_er08_refused_requests_do_not_count(clock):
    limited = limits(2, clock)
    limited.count_address(HERE)
    limited.count_address(HERE)
    for _ in range(50):
        with pytest.raises(TooManyRequests):
            limited.count_address(HERE)
    clock.at += 90
    limited.count_address(HERE)


def test_er08_clients_are_told_apart_by_issuer_and_id_and_from_addresses(clock):
    limited = limits(1, clock)
    limited.count_client(client("app"))
    limited.count_client(client("other"))
    limited.count_client(client("app", "https://elsewhere.example.org"))
    limited.count_address(HERE)
    with pytest.raises(TooManyRequests):
        limited.count_client(client("app"))


def test_an_address_is_checked_without_being_counted(clock):
    limited = limits(1, clock)
    for _ in range(3):
        limited.check_address(HERE)
    limited.count_address(HERE)
    with pytest.raises(TooManyRequests) as refused:
        limited.check_address(HERE)
    assert [problem.kind for problem in refused.value.problems] == ["address-rate"]


def test_a_name_that_is_no_text_is_counted_too(clock):
    limits(1, clock).count_client(client("app/\udcff"))


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:77:1:2:3:4:5", "2001:db8:77:1::/64"),
        ("2001:db8:77:1::9", "2001:db8:77:1::/64"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(address, counted):
    assert counted_as(address) == counted


# The service.

ASKED = "/fhir/QuestionnaireResponse"
TEMPLATES = {"<id:id>": "x", "<id:version>": "1", "<id:slug>": "second", "<id:name>": "form.css"}


@pytest.fixture(scope="module")
def folders(root):
    second = root / "tests" / "second_pair"
    return {"questionnaires_dir": second / "questionnaires", "mappings_dir": second / "mappings"}


@pytest.fixture
def still(monkeypatch):
    """Counts as if no time passed: a minute that ends between two requests lets one more in."""
    monkeypatch.setattr(rate_limits, "SharedMemory", partial(SharedMemory, Clock(time.time())))


@pytest.fixture
def served(folders, still):
    """Returns a client of the service with a limit."""

    def made(per_minute, **more):
        settings = Settings(store_url="none", requests_per_minute=per_minute, **folders, **more)
        return app.create_app(settings).test_client()

    return made


@pytest.fixture(scope="module")
def guarding(folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarding")
    store = f"sqlite:///{folder / 'service.db'}"
    return Settings(store_url=store, ehrs_file=registry_of(folder, "north"), **folders)


@pytest.fixture
def guarded(guarding, still):
    """Returns a client of a service that asks for tokens."""

    def made(per_minute, **more):
        return app.create_app(replace(guarding, requests_per_minute=per_minute, **more)).test_client()

    return made


def by(client_id, **claims):
    """Returns the header of a client's token."""
    return tenants_with_tokens.by("system/*.cruds", client_id=client_id, **claims)


def recorded(settings):
    """Returns how many entries the trail has of those of whom nobody knows who they are."""
    with closing(open_store(settings.store)) as store, store.reading("") as view:
        head = view.head()
        return head.seq if head else 0


def statuses(client, path, times, **more):
    return [client.get(path, **more).status_code for _ in range(times)]


def test_er08_too_many_requests_of_an_address_are_refused_until_it_may_come_again(served):
    client = served(3, cors_origins="https://app.example.org")
    assert statuses(client, "/fhir/metadata", 3) == [200, 200, 200]
    answer = client.get("/fhir/Questionnaire", headers={"Origin": "https://app.example.org"})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Content-Type"] == "application/fhir+json"
    (issue,) = answer.json["issue"]
    assert (issue["severity"], issue["code"]) == ("error", "throttled")
    assert issue["details"]["coding"][0]["code"] == "address-rate"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert client.get("/fhir/metadata", environ_base={"REMOTE_ADDR": "192.0.2.9"}).status_code == 200


def test_er08_pages_and_hooks_count_with_the_api(served):
    client = served(3)
    assert client.get("/static/form.css").status_code == 200
    assert client.get("/cds-services").status_code == 200
    assert client.get("/").status_code == 200
    assert {client.get(path).status_code for path in ("/", "/cds-services", "/fhir/metadata")} == {429}


def test_er08_a_person_gets_a_page_that_says_what_to_do(served):
    client = served(1, metrics=True)
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    assert statuses(client, "/", 1, headers=browser) == [200]
    answer = client.get("/", headers=browser)
    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert "load this page again" in answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert client.get("/cds-services").json["issue"][0]["code"] == "throttled"
    assert 'service_refusals_total{kind="address-rate"} 2.0' in client.get("/metrics").text


def test_er08_every_route_is_counted_but_probes_and_what_browsers_ask_first(served):
    client = served(1, metrics=True, metrics_token="t" * 32)
    uncounted = set()
    for number, route in enumerate(client.application.routes):
        path = re.sub("<.+?>", lambda name: TEMPLATES[name[0]], route.path)
        sender = {"REMOTE_ADDR": f"10.0.0.{number}"}
        client.open(path, method=route.method, environ_base=sender)
        if client.open(path, method=route.method, environ_base=sender).status_code != 429:
            uncounted.add(route.path)
        assert client.options(path, environ_base=sender).status_code == 204
    assert uncounted == {"/healthz", "/readyz"}


def test_er08_the_operator_is_not_counted_and_whoever_else_asks_for_metrics_is(guarded, guarding):
    """Each refusal is recorded at once: a flood of them would keep the store busy (AU16)."""
    client = guarded(2, metrics=True, metrics_token="t" * 32)
    before = recorded(guarding)
    stranger = {"environ_base": {"REMOTE_ADDR": "192.0.2.9"}}
    assert statuses(client, "/metrics", 4) == [200] * 4
    operator = {"headers": {"Authorization": f"Bearer {'t' * 32}"}}
    assert statuses(client, "/metrics", 4, **operator, **stranger) == [200] * 4
    assert statuses(client, "/metrics", 4, **stranger) == [401, 401, 429, 429]
    assert recorded(guarding) - before == 2
    assert statuses(client, "/metrics", 1, **operator, **stranger) == [200]


def test_er08_whatever_is_refused_and_recorded_is_counted(guarded):
    """Nobody can have the trail grow without a limit: on any route, with no token or a bad one (AU16)."""
    client = guarded(1, metrics=True, metrics_token="t" * 32, public_form=True)
    for number, route in enumerate(client.application.routes):
        path = re.sub("<.+?>", lambda name: TEMPLATES[name[0]], route.path)
        for more, headers in enumerate(({}, {"Authorization": "Bearer x"})):
            sender = {"environ_base": {"REMOTE_ADDR": f"10.0.{more}.{number}"}, "headers": headers}
            said = [client.open(path, method=route.method, **sender).status_code for _ in range(3)]
            assert said.count(401) + said.count(403) <= 1, (route.method, path, said)


def test_er08_what_no_route_takes_is_not_counted(served):
    client = served(1)
    assert statuses(client, "/fhir/Nothing", 3) == statuses(client, "/nothing", 3) == [404, 404, 404]
    assert client.get("/fhir/metadata").status_code == 200


def test_er08_the_word_of_a_proxy_is_taken_that_a_setting_names(served):
    client = served(1, trusted_proxies="127.0.0.1")
    for sender in ("192.0.2.1", "192.0.2.2"):
        headers = {"X-Forwarded-For": f"203.0.113.5, {sender}"}
        assert statuses(client, "/fhir/metadata", 2, headers=headers) == [200, 429]


def test_er08_a_client_is_counted_by_its_token_wherever_it_asks_from(guarded):
    client = guarded(2)
    for address in ("192.0.2.1", "192.0.2.2"):
        place = {"REMOTE_ADDR": address}
        assert client.get(ASKED, headers=by("app"), environ_base=place).status_code == 200
    answer = client.get(ASKED, headers=by("app"))
    assert answer.status_code == 429
    assert answer.json["issue"][0]["details"]["coding"][0]["code"] == "client-rate"
    assert statuses(client, ASKED, 2, headers=by("other")) == [200, 200]


def test_er08_tokens_that_name_no_client_are_counted_by_their_subject(guarded):
    client = guarded(1)
    assert statuses(client, ASKED, 2, headers=by("", sub="one")) == [200, 429]
    assert client.get(ASKED, headers=by("", sub="two")).status_code == 200


@pytest.mark.parametrize("sent", ["canary-token", "a.b.c", None])
def test_er08_a_flood_of_bad_tokens_ends_in_429_and_keeps_out_nobody_with_a_good_one(guarded, sent):
    client = guarded(2)
    bad = by("app", aud="https://other.example.org") if sent is None else {"Authorization": f"Bearer {sent}"}
    assert statuses(client, ASKED, 4, headers=bad) == [401, 401, 429, 429]
    assert client.get(ASKED).status_code == 429
    assert client.get(ASKED, headers=by("app")).status_code == 200


class Asking:
    """A gate that asks another server about each token that is not known, and is told that none is good."""

    def __init__(self):
        self.asked = 0
        self.known = ()

    def asks_elsewhere(self, environ):
        return environ["HTTP_AUTHORIZATION"] not in self.known

    def principal(self, route, environ):
        if environ["HTTP_AUTHORIZATION"] in self.known:
            return client("app")
        self.asked += 1
        raise Unauthenticated(Problem("token", "Expected another one."), error="invalid_token")

    def reach(self, route, principal):
        return Reach("north")


def test_er08_no_server_is_asked_about_more_tokens_than_an_address_may_send(clock):
    behind = Asking()
    gate = LimitedGate(behind, limits(2, clock), Operator(""))
    route = Route("GET", ASKED, lambda _: None, Access.TOKEN, READ)
    for number in range(10):
        with pytest.raises(Unauthenticated if number < 2 else TooManyRequests):
            gate.principal(route, HERE | {"HTTP_AUTHORIZATION": f"Bearer {number}"})
    assert behind.asked == 2
    behind.known = ("Bearer known",)
    assert gate.principal(route, HERE | {"HTTP_AUTHORIZATION": "Bearer known"}) == client("app")
    assert gate.reach(route, client("app")) == Reach("north")


def test_er08_requests_without_a_token_do_not_use_up_what_clients_may_send(guarded):
    client = guarded(2)
    assert statuses(client, "/fhir/metadata", 1) == [200]
    assert statuses(client, ASKED, 3, headers=by("app")) == [200, 200, 429]
    assert statuses(client, "/fhir/metadata", 2) == [200, 429]


def test_er08_a_bundle_is_one_request(guarded):
    client = guarded(1)
    entries = [{"request": {"method": "GET", "url": "QuestionnaireResponse"}}] * 5
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = client.post("/fhir", json=bundle, headers=by("app") | {"Content-Type": "application/fhir+json"})
    assert [entry["response"]["status"][:3] for entry in answer.json["entry"]] == ["200"] * 5


def test_the_limit_is_6000_where_tokens_are_asked_for_and_none_where_they_are_not(guarding, folders):
    found = app.create_app(guarding).test_client().application.fhir.router._gate
    assert found._limits._limit.amount == CONTROLLED_RATE == 6000
    unlimited = app.create_app(replace(guarding, requests_per_minute=0)).fhir.router._gate
    assert type(unlimited) is Gate
    assert app.create_app(Settings(store_url="none", **folders)).fhir.router._gate is None


def test_no_address_and_no_token_stands_in_the_log(guarded, caplog):
    client = guarded(1)
    with caplog.at_level("DEBUG"):
        statuses(client, ASKED, 3, headers={"Authorization": "Bearer canary-token"}, environ_base=HERE)
        statuses(client, ASKED, 3, headers=by("canary-client"), environ_base={"REMOTE_ADDR": "192.0.2.77"})
    assert "429" in caplog.text
    assert not re.search(r"canary|192\.0\.2", caplog.text)


def test_er08_all_workers_count_together():
    with serving(
        "service.app:from_environment()", STORE_URL="none", WORKERS="3", REQUESTS_PER_MINUTE="20"
    ) as server:
        seen = [server.ask(get("/fhir/metadata")).status for _ in range(40)]
        assert server.ask(get("/healthz")).status == 200
    assert seen[:20] == [200] * 20
    assert seen.count(200) < 30  # each by itself would answer nearly all; a few come free as time passes
