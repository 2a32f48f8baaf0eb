"""The next guidance in the shadow of the current one: what is answered, what is counted, what is not kept."""

import shutil
from collections import Counter

import orjson
import pytest
from cds_calls import VIEW, call_of, searchset
from form_driver import FormDriver
from gunicorn_server import get, post, until
from loopback_servers import QuietHandler, listening
from running_service import running
from sample_responses import SECOND, sample, strain

from service import app, catalogue, cli, shadow
from service.assess import Assessor, SentBody
from service.authoring.editions import as_answered_to
from service.catalogue import read_pair, read_questionnaires
from service.datatypes.values import replace
from service.errors import GuidanceError, SettingsError
from service.fhir.definitions import AS_WRITTEN
from service.fhir.json import BodyLimits
from service.guidance import Guidance
from service.sandbox import Sandbox, SandboxLimits
from service.settings import ROOT, Settings
from service.shadow import COUNTS, Shadow, differences, followings, lines_of, plain, taken_over
from service.web.metrics import shadow_counts

FHIR = {"Content-Type": "application/fhir+json"}
TYPE = "/fhir/QuestionnaireResponse"
ASSESS = f"{TYPE}/$assess"
SOMEBODY = "Patient/somebody"
LIMITS = BodyLimits(1 << 20, 64)
NAME = "https://guidance.example.org/guidance/workday-strain"
NAMES = (f"{NAME}|2.1.0", f"{NAME}|2.2.0")


def text_changed(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture(scope="module")
def following(tmp_path_factory):
    """Mappings in which a total of ten or eleven is no reason to talk any more."""
    folder = tmp_path_factory.mktemp("next")
    shutil.copytree(SECOND / "mappings" / "workday-strain", folder / "workday-strain")
    strain = folder / "workday-strain"
    text_changed(strain / "guidance.yaml", ("version: 2.1.0", "version: 2.2.0"))
    text_changed(strain / "scores.yaml", ("to: 9,", "to: 11,"), ("from: 10,", "from: 12,"))
    ten = "{tier: talk, strain: moderate, score: {total: 10}}"
    text_changed(strain / "cases.yaml", (ten, ten.replace("talk", "nothing").replace("moderate", "low")))
    return folder


def settings(following=None, **more):
    return Settings(
        store_url=more.pop("store_url", "none"),
        questionnaires_dir=SECOND / "questionnaires",
        mappings_dir=SECOND / "mappings",
        next_mappings_dir=following,
        metrics=True,
        **more,
    )


@pytest.fixture
def client(following):
    return app.create_app(settings(following)).test_client()


def ten(patient=None, **changes):
    """A response with a total of ten: three items on most days, four on some."""
    body = strain(patient, **changes)
    for item in body["item"][0]["item"][3:]:
        item["answer"] = [{"valueCoding": item["answer"][0]["valueCoding"] | {"code": "some-days"}}]
    return body


def counted(client):
    """Returns what was counted, once all that waits is done."""
    client.application.shadow.settle()
    return shadow_counts(client.get("/metrics").text)


def test_steps_levels_and_rules_that_differ_are_counted(client):
    for body in (ten(), ten(), strain()):
        assert client.post(ASSESS, json=body, headers=FHIR).status_code == 200
    assert counted(client) == {
        ("results", (*NAMES, "talk", "nothing", "step")): 2,
        ("results", (*NAMES, "talk", "talk", "nothing")): 1,
        ("levels", (*NAMES, "strain", "moderate", "low")): 2,
        ("rules", (*NAMES, "marked-strain-talks", "current")): 2,
        ("rules", (*NAMES, "strain-moderate", "current")): 2,
        ("rules", (*NAMES, "strain-low", "next")): 2,
    }


def test_the_answer_is_that_of_the_current_guidance_whatever_becomes_of_the_next(client, monkeypatch, caplog):
    alone = app.create_app(settings()).test_client()
    wanted = alone.post(ASSESS, json=ten(SOMEBODY), headers=FHIR)
    assert client.post(ASSESS, json=ten(SOMEBODY), headers=FHIR).data == wanted.data
    assert "failed" not in str(counted(client))

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(shadow, "differences", fail)
    for _ in range(2):
        assert client.post(ASSESS, json=ten(SOMEBODY), headers=FHIR).data == wanted.data
    assert counted(client)["unscored", (NAMES[0], "failed")] == 2
    assert len([one for one in caplog.records if one.name == "service.shadow"]) == 1


def test_a_response_is_counted_once_in_every_way_that_it_is_scored(following, tmp_path):
    client = app.create_app(settings(following, store_url=f"sqlite:///{tmp_path}/s.db")).test_client()
    created = client.post(TYPE, json=ten(), headers=FHIR)
    entries = [
        {"resource": ten(), "request": {"method": "POST", "url": "QuestionnaireResponse"}},
        {"resource": ten(), "request": {"method": "POST", "url": "QuestionnaireResponse/$assess"}},
    ]
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entries[: 2 if kind == "batch" else 1]}
        assert client.post("/fhir", json=bundle, headers=FHIR).status_code == 200
    assert sum(counted(client).values()) == 4 * 5  # the result, a level, three rules
    of_id = orjson.loads(created.data)["id"]
    for path in (f"RiskAssessment/{of_id}?_detail=full", f"RiskAssessment/{of_id}/$explain"):
        assert client.get(f"/fhir/{path}").status_code == 200
    assert sum(counted(client).values()) == 4 * 5  # what was scored before is shown again


@pytest.mark.parametrize("filler", ["", "x" * 20_000])
def test_what_a_plan_proposes_is_scored_by_the_next_guidance_too(client, filler):
    """With the subject of the operation, and with what stands beside the response, as `$apply` scored it."""
    body = ten()
    body.pop("subject", None)
    beside = {"resourceType": "Observation", "status": "final", "code": {"text": f"x{filler}"}}
    entries = [{"resource": body}, {"resource": beside | {"subject": {"reference": SOMEBODY}}}]
    data = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    parameters = [{"name": "subject", "valueString": SOMEBODY}, {"name": "data", "resource": data}]
    sent = {"resourceType": "Parameters", "parameter": parameters}
    answer = client.post("/fhir/PlanDefinition/workday-strain/$apply", json=sent, headers=FHIR)
    assert answer.status_code == 200
    assert counted(client)["results", (*NAMES, "talk", "nothing", "step")] == 1
    assert sum(counted(client).values()) == 5


def test_a_large_body_is_read_again_in_a_child_at_a_place_of_its_own(client):
    large = ten(extension=[{"url": "https://example.org/x", "valueString": "x" * 20_000}])
    assert client.post(ASSESS, json=large, headers=FHIR).status_code == 200
    assert counted(client)["results", (*NAMES, "talk", "nothing", "step")] == 1


def test_what_waits_is_bounded_and_what_finds_no_room_is_counted(following):
    served = catalogue.read(SECOND / "questionnaires", SECOND / "mappings")
    after = catalogue.read(SECOND / "questionnaires", following)
    tally = Counter()
    watch = Shadow(served, after, LIMITS, lambda one: tally.update([one]), most=2, pause_s=60)
    response = SentBody(orjson.dumps(ten()), guidance=NAMES[0])
    for _ in range(5):
        watch.offer(response)
    assert tally == {("unscored", (NAMES[0], "dropped")): 3}
    watch.settle()
    assert tally["results", (*NAMES, "talk", "nothing", "step")] == 2
    watch.offer(SentBody(b"x" * (shadow.MOST_WAITING_BYTES + 1)))
    watch.offer(response)
    watch.settle(within_s=-1)
    assert tally["unscored", ("unknown", "dropped")] == 1
    assert tally["unscored", (NAMES[0], "dropped")] == 4


def test_why_a_response_was_not_scored_is_counted(following, monkeypatch):
    served = catalogue.read(SECOND / "questionnaires", SECOND / "mappings")
    after = catalogue.read(SECOND / "questionnaires", following)
    tally = Counter()
    large = ten(extension=[{"url": "https://example.org/x", "valueString": "x" * 20_000}])
    body = SentBody(orjson.dumps(large), guidance=NAMES[0])
    busy, small = (Sandbox(SandboxLimits(wait_s=0, result_bytes=most), 1) for most in (1000, 1))
    with busy._place():
        Shadow(served, after, LIMITS, lambda one: tally.update([one]), busy).score(body)
    watch = Shadow(served, after, LIMITS, lambda one: tally.update([one]), small)
    watch.settle()  # nothing waits
    watch.score(body)
    scored = Assessor(served, LIMITS).accepted(orjson.dumps(ten()))
    monkeypatch.setattr(Guidance, "reads_late_date", lambda *_: True)
    watch.score(scored)
    reasons = ("dropped", "too-costly", "next-refuses")
    assert tally == {("unscored", (NAMES[0], reason)): 1 for reason in reasons}


def test_nothing_of_a_response_is_kept_or_shown(client):
    canary = "canary-4711"
    body = ten(id=canary, identifier={"system": "urn:x", "value": canary})
    body["subject"] = {"reference": f"Patient/{canary}"}
    client.post(ASSESS, json=body, headers=FHIR)
    client.application.shadow.settle()
    said = client.get("/metrics").text
    assert "service_shadow_results_total" in said
    assert canary not in said
    assert client.application.shadow._state.next() is None


def test_a_next_edition_that_is_faulty_or_whose_differences_nobody_would_see_stops_the_start(
    following, tmp_path
):
    with pytest.raises(SettingsError, match="SERVICE_METRICS=true"):
        app.create_app(replace(settings(following), metrics=False))
    shutil.copytree(following, tmp_path / "broken")
    text_changed(tmp_path / "broken" / "workday-strain" / "scores.yaml", ("to: 11,", "to: 10,"))
    with pytest.raises(GuidanceError) as stopped:
        app.create_app(settings(tmp_path / "broken"))
    assert all(fault.startswith("SERVICE_NEXT_MAPPINGS_DIR: workday-") for fault in stopped.value.faults)


def test_a_next_edition_that_says_the_same_is_told_at_the_start_and_counts_nothing(caplog):
    client = app.create_app(settings(SECOND / "mappings")).test_client()
    assert "shadow" in [one.msg["event"] for one in caplog.records if one.name == "service.start"]
    client.post(ASSESS, json=ten(), headers=FHIR)
    assert counted(client) == {}


def test_a_questionnaire_that_the_next_edition_lacks_is_counted_as_not_scored(following, tmp_path):
    after = catalogue.read(SECOND / "questionnaires", following)
    lacking = replace(after, pairs={}, superseded=())
    tally = Counter()
    served = catalogue.read(SECOND / "questionnaires", SECOND / "mappings")
    Shadow(served, lacking, LIMITS, lambda one: tally.update([one])).score_body(orjson.dumps(ten()))
    assert tally == {("unscored", (NAMES[0], "no-guidance")): 1}


# The project's own guidance: cards, forms, charts, dates, and another version of a questionnaire.


@pytest.fixture(scope="module")
def stricter(served, tmp_path_factory):
    """The project's guidance with other numbers, whatever its worked cases say of that."""
    folder = tmp_path_factory.mktemp("stricter") / "muscle-twitching"
    shutil.copytree(ROOT / "mappings" / "muscle-twitching", folder)
    numbers = {"consult-within": (42, 35), "potassium-low": ("3.5", "3.0"), "duration-cut-off": (21, 90)}
    for name, (old, new) in numbers.items():
        change = (f"  {name}:\n    value: {old}\n", f"  {name}:\n    value: {new}\n")
        text_changed(folder / "guidance.yaml", change)
    line = '      - {from: meq/L, to: mmol/L, factor: "1", source: "one charge an ion"}\n'
    text_changed(folder / "guidance.yaml", (line, ""))
    published = read_questionnaires(ROOT / "questionnaires", AS_WRITTEN)
    pair = read_pair(folder, published.compiled, AS_WRITTEN, run_cases=False)
    return replace(served, pairs={pair.compiled.canonical: pair}, superseded=())


def bodies():
    """Yields bodies of every kind, with what stands beside each: earlier responses, and the chart."""
    before = sample("plain-eyelid") | {"authored": "2026-09-20T10:00:00Z", "identifier": None, "id": "before"}
    del before["identifier"]
    worse = sample("progressive-weakness") | {"subject": before["subject"]}
    yield from (
        (orjson.dumps(sample(path.stem)), (), None) for path in (ROOT / "samples").glob("*[a-z].json")
    )
    yield orjson.dumps(worse), (orjson.dumps(before),), None
    chart = [found["resource"] for found in sample("parameters-with-chart-data")["parameter"]]
    yield orjson.dumps(chart[0]), (), tuple(map(orjson.dumps, chart[1:]))
    in_other_unit = chart[1] | {
        "valueQuantity": chart[1]["valueQuantity"] | {"code": "meq/L", "unit": "mEq/L"}
    }
    yield orjson.dumps(chart[0]), (), (orjson.dumps(in_other_unit),)


def test_the_next_guidance_scores_just_as_if_it_were_served(served, stricter):
    tally, expected = Counter(), Counter()
    watch = Shadow(served, stricter, LIMITS, lambda one: tally.update([one]))
    (following,) = watch.compared
    for body, earlier, chart in bodies():
        results = []
        if orjson.loads(body)["resourceType"] not in ("QuestionnaireResponse", "Parameters"):
            continue
        for edition in (served, stricter):
            assessor = Assessor(edition, LIMITS)
            results.append(assessor.scored_of(assessor.sent(body, earlier, chart)).assessment().result)
        expected.update(differences(following, *results))
        watch.score(SentBody(body, earlier, chart))
    assert tally == expected
    assert {name for name, _ in tally} == {"results", "dates", "levels", "rules"}
    assert any(values[-1] == "next" for name, values in tally if name == "rules")


def test_a_card_and_a_form_are_counted_too(served, stricter, monkeypatch, tmp_path):
    editions = iter((served, stricter))
    monkeypatch.setattr(shadow.catalogue, "read", lambda *_, **__: next(editions))
    client = app.create_app(
        Settings(store_url="none", metrics=True, next_mappings_dir=ROOT / "mappings")
    ).test_client()
    response = sample("progressive-weakness")
    asked = client.post(VIEW, json=call_of(responses=searchset(response)))
    assert orjson.loads(asked.data)["cards"]
    results = [values for name, values in counted(client) if name == "results"]
    assert len(results) == 1


def test_a_form_is_counted_when_it_is_sent_and_not_when_it_is_shown_again(client):
    pair = next(iter(catalogue.read(SECOND / "questionnaires", SECOND / "mappings").pairs.values()))
    driver = FormDriver(client, "/questionnaires/workday-strain")
    driver.open()
    driver.finish(pair.guidance.cases[2].answers)
    assert counted(client)["results", (*NAMES, "talk", "nothing", "step")] == 1
    driver.press("language:de")
    assert counted(client)["results", (*NAMES, "talk", "nothing", "step")] == 1
    driver.press("change:" + driver.visited[1])
    driver.finish(pair.guidance.cases[0].answers)
    assert sum(number for (name, _), number in counted(client).items() if name == "results") == 2


def test_responses_to_the_questionnaire_in_use_try_a_new_version_of_it(served):
    older = ROOT / "tests" / "muscle_twitching_1_0_0"
    published = read_questionnaires(older / "questionnaires", AS_WRITTEN)
    folder = older / "mappings" / "muscle-twitching"
    pair = read_pair(folder, published.compiled, AS_WRITTEN, run_cases=False)
    current = replace(served, pairs={pair.compiled.canonical: pair})
    (following,) = (found for found in followings(current, served).values() if found is not None)
    assert not following.is_same_form
    left = set()
    for case in following.current.guidance.cases:
        known, left_out = as_answered_to(following.pair.guidance.form, case.answers)
        answers = catalogue.answers_of_case(case, following.current.guidance, following.current.compiled)
        read, gone = taken_over(following, answers)
        left.update(gone)
        tried = replace(case, answers=known, chart={}, earlier=())
        assert read == catalogue.answers_of_case(tried, following.pair.guidance, following.pair.compiled)
        assert set(gone) <= set(left_out)
    assert left


def test_a_draft_of_the_same_questionnaire_comes_next_and_what_is_retired_does_not(served, stricter):
    (pair,) = stricter.pairs.values()

    def standing(status, version="9.0.0"):
        identity = replace(pair.guidance.written.identity, status=status, version=version)
        written = replace(pair.guidance.written, identity=identity)
        return replace(pair, guidance=replace(pair.guidance, written=written))

    canonical = pair.compiled.canonical
    draft, retired = standing("draft"), standing("retired", "10.0.0")
    own = served.pairs[canonical]
    after = replace(served, pairs={canonical: own}, superseded=(draft, retired))
    assert followings(served, after)[canonical].pair is draft
    assert followings(served, replace(after, superseded=(retired,)))[canonical] is None


# What an operator reads.


@pytest.mark.slow
def test_the_counts_are_those_of_all_workers_and_a_command_prints_them(
    following, tmp_path, capsys, monkeypatch
):
    given = {"METRICS": "true", "NEXT_MAPPINGS_DIR": str(following), "WORKERS": "2"}
    with running("none", **given) as (server, _):
        for _ in range(6):
            assert server.ask(post(orjson.dumps(ten()))).status == 200
        key = "results", (*NAMES, "talk", "nothing", "step")
        until(lambda: shadow_counts(server.ask(get("/metrics")).body.decode()).get(key) == 6)
        monkeypatch.setenv("SERVICE_PORT", str(server.port))
        assert cli.main(["shadow"]) == 0
        assert f"{NAMES[0]} -> {NAMES[1]}: 6 responses\n" in capsys.readouterr().out
        assert cli.main(["shadow", "--json"]) == 0
        (result,) = orjson.loads(capsys.readouterr().out)["results"]
        assert result["count"] == 6
    assert cli.main(["shadow"]) == 2
    assert "no service answers there" in capsys.readouterr().err


def test_the_command_brings_the_token_and_says_where_it_is_not_let_in(monkeypatch, capsys):
    asked = []

    class Refusing(QuietHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.send_error(401)

    with listening(Refusing) as server:
        monkeypatch.setenv("SERVICE_PORT", str(server.server_port))
        monkeypatch.setenv("SERVICE_METRICS_TOKEN", "t" * 32)
        assert cli.main(["shadow"]) == 2
    assert asked == [("/metrics", f"Bearer {'t' * 32}")]
    said = capsys.readouterr().err
    assert "SERVICE_METRICS=true" in said
    assert "tttt" not in said


def test_a_command_tries_the_next_guidance_on_a_file_of_responses(following, tmp_path, capsys, monkeypatch):
    path = tmp_path / "responses.ndjson"
    void = strain() | {"status": "entered-in-error"}
    path.write_bytes(b"\n".join(orjson.dumps(one) for one in (ten(), strain(), void)) + b"\n\nnothing\n")
    monkeypatch.setenv("SERVICE_QUESTIONNAIRES_DIR", str(SECOND / "questionnaires"))
    monkeypatch.setenv("SERVICE_MAPPINGS_DIR", str(SECOND / "mappings"))
    assert cli.main(["shadow", str(path)]) == 2
    assert "SERVICE_NEXT_MAPPINGS_DIR" in capsys.readouterr().err
    monkeypatch.setenv("SERVICE_NEXT_MAPPINGS_DIR", str(following))
    assert cli.main(["shadow", str(path)]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
{NAMES[0]} -> {NAMES[1]}: 2 responses
  1 (50.0%) comes out differently
    1 in the step
  steps
    talk -> nothing: 1 (50.0%)
  levels
    strain: moderate -> low: 1 (50.0%)
  rules that fire by one guidance only
    marked-strain-talks (current): 1 (50.0%)
    strain-low (next): 1 (50.0%)
    strain-moderate (current): 1 (50.0%)

not scored by the next guidance
  unknown: not-scorable 2
"""
    )


def test_the_report_of_nothing_says_so():
    assert list(lines_of({})) == ["Nothing was counted."]
    assert plain({}) == {name: [] for name in COUNTS}
