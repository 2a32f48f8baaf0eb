"""The preview for authors: form, result and why of every mapping, drafts too, and nobody else sees it."""

import re

import orjson
import pytest
from examples import IN_CI
from form_driver import ParsedPage

from service import app, catalogue
from service.catalogue import outcome_of
from service.datatypes.values import replace
from service.guidance.cases import Case
from service.settings import ROOT

PHQ = ROOT / "docs/authoring/phq-9"
HERE, ELSEWHERE = {"REMOTE_ADDR": "127.0.0.1"}, {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture(scope="module")
def folders(settings, tmp_path_factory):
    """Settings of all questionnaires of the project, of its tests and of its documentation."""
    folder = tmp_path_factory.mktemp("previews")
    named = {}
    for kind in ("questionnaires", "mappings"):
        (folder / kind).mkdir()
        for source in (getattr(settings, f"{kind}_dir"), PHQ / kind):
            for path in source.iterdir():
                (folder / kind / path.name).symlink_to(path.resolve())
        named[f"{kind}_dir"] = folder / kind
    return replace(settings, **named, reload=True, form_keys="k" * 40)


@pytest.fixture(scope="module")
def previewed(folders, session_clock):
    return app.create_app(folders, session_clock)


@pytest.fixture
def author(previewed, clock):
    client = previewed.test_client()
    client.environ_base.update(HERE)
    return client


@pytest.fixture(scope="module")
def pairs(folders):
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    return {pair.slug: pair for pair in (*served.pairs.values(), *served.superseded)}


def path_of(slug):
    return f"/questionnaires/{slug}/preview"


def shown(author, slug, **query):
    answer = author.get(path_of(slug), query_string=query)
    assert answer.status_code == 200
    return answer.text


def sent(author, slug, page, *, action="", **controls):
    """Sends the page back as a browser does, with some controls changed; None leaves one out."""
    parsed = ParsedPage(page)
    given = {"language": parsed.hidden["language"], "action": action}
    given |= {
        name: control.chosen for name, control in parsed.controls.items() if not name.startswith("file")
    }
    given |= controls
    data = {name: value for name, value in given.items() if value is not None}
    answer = author.post(path_of(slug), data=data)
    assert answer.status_code == 200
    return answer.text


def steps(page):
    """Returns both ends of the step that the page explains."""
    told = re.search(
        r"<h3>(?:Step and levels|Stufe und Einschätzungen)</h3>\n<dl>\n<dt>.*?</dt>\n<dd>(.*?)</dd>",
        page,
        re.DOTALL,
    )
    first, _, last = told[1].strip().partition(" \u2013 ")
    return first, last or first


def expected(pair, case):
    result = outcome_of(case, pair.guidance, pair.compiled)
    ladder = [tier.code for tier in result.tiers]
    return ladder[result.tier.at_least], ladder[result.tier.at_most]


def some_cases(pair) -> list[Case]:
    """Returns a few worked cases, among them those with a chart and with earlier answers."""
    cases, few = pair.guidance.cases, 3 if IN_CI else 1
    return [
        *cases[: few + 2],
        *[case for case in cases if case.chart][:few],
        *[case for case in cases if case.earlier][:few],
    ]


@pytest.mark.parametrize("slug", ["phq-9", "workday-strain", "muscle-twitching"])
def test_a_worked_case_has_the_result_that_it_must_have_and_comes_back_the_same(author, pairs, slug):
    pair = pairs[slug]
    for case in some_cases(pair):
        page = shown(author, slug, case=case.name)
        assert steps(page) == expected(pair, case), case.name
        assert f'<option value="{case.name}" selected>' in page
        assert steps(sent(author, slug, page)) == expected(pair, case), case.name


def test_a_draft_is_scored_for_its_author_alone(author, pairs):
    assert pairs["phq-9"].guidance.written.identity.status == "draft"
    page = shown(author, "phq-9", case="total-ten")
    assert "(status: draft)" in page
    body = orjson.loads((PHQ / "response.json").read_bytes())
    assert author.post("/fhir/QuestionnaireResponse/$assess", json=body).status_code == 422
    assert author.get("/questionnaires/phq-9").status_code == 404
    assert "(status:" not in shown(author, "workday-strain")


def test_the_page_says_what_explain_says(author):
    page = shown(author, "phq-9", case="total-ten")
    for said in ("<b>total-moderate</b> → plan", "<b>moderate-or-more</b>", 'id="s-S003"'):
        assert said in page, said
    assert re.search("<li>[^<]*: not at all → ", page, re.IGNORECASE)
    assert 'href="#q' in page


def test_where_no_step_is_beyond_nothing_is_said_to_have_been_tried(author):
    """The lowest is the lowest while questions are open, too; above it, changes are searched then as well."""
    nothing = shown(author, "phq-9")
    assert steps(nothing) == ("not-assessable", "same-day")
    assert "<li>No rule holds it above the lowest step.</li>" in nothing
    highest = sent(author, "phq-9", nothing, **{"q.self-harm": "LA6571-9"})
    assert steps(highest) == ("same-day", "same-day")
    assert "<li>It is the highest step.</li>" in highest
    assert "lowest step" not in highest
    assert "up to 0" not in nothing + highest


def test_an_answer_changes_result_and_reasons(author):
    page = shown(author, "phq-9", case="total-nine")
    assert steps(page) == ("watch", "watch")
    worse = sent(author, "phq-9", page, **{"q.self-harm": "LA6571-9"})
    assert steps(worse) == ("same-day", "same-day")
    assert steps(sent(author, "phq-9", worse, **{"q.self-harm": None}))[1] == "same-day"


def test_it_is_in_the_language_that_is_asked_for(author):
    page = shown(author, "workday-strain", language="de", case="total-ten")
    assert '<html lang="de">' in page
    assert "Regeln, die zutreffen" in page
    english = sent(author, "workday-strain", page, action="language:en")
    assert "Rules that fired" in english
    assert steps(english) == steps(page)
    assert "Regeln" in sent(author, "workday-strain", page, action="language:xx")


def test_another_case_takes_the_place_of_what_was_answered(author, pairs):
    page = shown(author, "phq-9", case="total-nine")
    case = next(case for case in pairs["phq-9"].guidance.cases if case.name == "total-ten")
    other = sent(author, "phq-9", page, action="case", case="total-ten")
    assert steps(other) == expected(pairs["phq-9"], case)
    assert case.about in other
    none = sent(author, "phq-9", other, action="case", case="")
    assert steps(none) == ("not-assessable", "same-day")


def test_what_cannot_be_read_stays_in_its_box_and_says_why(author):
    page = shown(author, "muscle-twitching", case="professional-base")
    wrong = sent(author, "muscle-twitching", page, **{"q.age": "canary"})
    assert 'value="canary"' in wrong
    assert '<div class="errs"' in wrong
    assert steps(wrong) == steps(page)


def test_answers_that_cannot_be_scored_together_say_why(author):
    page = shown(author, "muscle-twitching", case="professional-base")
    wrong = sent(author, "muscle-twitching", page, **{"q.age": "900"})
    assert '<div class="errs"' in wrong


def test_the_result_beside_it_leads_back_with_the_same_answers(author):
    """Without a script its buttons are pressed."""
    page = shown(author, "phq-9", case="total-ten")
    state = page.partition('name="state" value="')[2].partition('"')[0]
    again = author.post(path_of("phq-9"), data={"state": state, "action": "change:mood"}).text
    assert steps(again) == steps(page) == ("plan", "plan")
    fresh = author.post(path_of("phq-9"), data={"state": state, "action": "restart"}).text
    assert steps(fresh) == ("not-assessable", "same-day")
    forged = author.post(path_of("phq-9"), data={"state": "canary", "action": ""}).text
    assert steps(forged) == ("not-assessable", "same-day")


def test_nobody_sees_it_but_programs_of_this_machine(previewed):
    stranger = previewed.test_client()
    for environ in (ELSEWHERE, {**HERE, "HTTP_X_FORWARDED_FOR": "192.0.2.7"}):
        for ask in (stranger.get, stranger.post):
            answer = ask(path_of("phq-9"), environ_overrides=environ)
            assert answer.status_code == 404
    assert stranger.get(path_of("phq-9"), environ_overrides=HERE).status_code == 200


def test_a_page_of_another_site_cannot_fill_it_in(author):
    for header in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.org"}):
        answer = author.post(path_of("phq-9"), data={"q.self-harm": "LA6571-9"}, headers=header)
        assert steps(answer.text) == ("not-assessable", "same-day")


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 100])
def test_a_body_that_is_no_form_is_as_nothing(author, body):
    assert author.post(path_of("phq-9"), data=body, content_type="application/json").status_code == 200


def test_there_is_none_of_what_is_not_served_or_cannot_be_shown(author):
    assert author.get(path_of("canary")).status_code == 404


def test_it_runs_and_loads_nothing_but_files_of_the_service(author):
    policies = {author.get(path).headers["Content-Security-Policy"] for path in (path_of("phq-9"),)}
    (policy,) = policies
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_it_says_what_is_wrong_with_the_files_and_when_they_have_changed(previewed, author):
    edition = previewed.edition
    edition.files, edition.faults = "second", ("phq-9/rules.yaml: line 7: expected <this>",)
    try:
        page = shown(author, "phq-9", known="first")
        assert 'data-edition="second"' in page
        assert "phq-9/rules.yaml: line 7: expected &lt;this&gt;" in page
        assert "last ones that were right" in page
        assert "die in Ordnung waren" in shown(author, "workday-strain", language="de")
        same = author.get(path_of("phq-9"), query_string={"known": "second"})
        assert (same.status_code, same.data) == (204, b"")
    finally:
        edition.files, edition.faults = "", ()
    assert "last ones that were right" not in shown(author, "phq-9")


def test_without_the_setting_there_is_no_preview(client):
    assert client.get(path_of("workday-strain"), environ_overrides=HERE).status_code == 404
