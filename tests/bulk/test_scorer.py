"""One line in, one line out: a result as `assess` gives it, or an OperationOutcome that names the line."""

import os
import pickle
from pathlib import Path

import msgspec
import orjson
import pytest
from case_responses import response_of

from service import cli
from service.bulk.scorer import (
    FINAL,
    PRELIMINARY,
    REFUSED,
    SMALL_LINE_BYTES,
    Facts,
    Scorer,
    ScoringOptions,
)
from service.datatypes.values import replace
from service.errors import Problem, Unavailable
from service.results import digits
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted(
    path for path in (ROOT / "samples").glob("*.json") if not path.name.endswith(".expected.json")
)
BUSY = Problem("sandbox-busy", "Expected more memory.")
PLAIN = orjson.dumps(orjson.loads((ROOT / "samples/plain-eyelid.json").read_bytes()))


@pytest.fixture(scope="module")
def scorers():
    return {
        output: Scorer(ScoringOptions.from_settings(Settings(), output))
        for output in ("risk", "summary", "bundle")
    }


@pytest.fixture(scope="module")
def scorer(scorers):
    return scorers["risk"]


def outcome(line):
    document = orjson.loads(line.output)
    assert document["resourceType"] == "OperationOutcome"
    return document


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("output", ["risk", "bundle"])
def test_a_line_is_what_assess_prints(path, output, scorers, capfdbinary):
    assert cli.main(["assess", str(path), "--output", output]) == 0
    printed = capfdbinary.readouterr().out.rstrip(b"\n")
    line = scorers[output].line(msgspec.json.format(path.read_bytes(), indent=0), 7)
    assert msgspec.json.format(line.output, indent=2) == printed


def test_the_facts_are_those_of_the_result(scorer):
    response = orjson.loads((ROOT / "samples/progressive-weakness.json").read_bytes())
    facts = scorer.line(orjson.dumps(response), 3).facts
    pair = scorer.served.pairs[response["questionnaire"]]
    identity = pair.guidance.written.identity
    assert facts.outcome == FINAL
    assert (facts.line, facts.response, facts.subject) == (
        3,
        response["id"],
        response["subject"]["reference"],
    )
    assert (facts.authored, facts.status) == (response["authored"], "completed")
    assert (facts.guidance, facts.guidance_hash) == (identity.canonical, identity.hash)
    assert (facts.step, facts.step_at_most, facts.step_rank) == ("prompt", "prompt", 4)
    assert (facts.due_days, facts.due_date, facts.due_to) == (14, "2026-12-04", "neurologist")
    assert facts.levels[0] == ("als", "high", "high", True)
    assert facts.rules[0] == "weakness-is-a-red-flag"
    assert facts.open_questions == ()


def test_a_response_in_progress_is_preliminary_with_both_ends_of_the_step(scorer):
    facts = scorer.line((ROOT / "samples/empty.json").read_bytes(), 1).facts
    assert facts.outcome == PRELIMINARY
    assert facts.step_rank < facts.step_rank_at_most
    assert facts.open_questions


def test_a_score_is_told_with_its_ends_and_its_number():
    second = ROOT / "tests/second_pair"
    folders = {"questionnaires_dir": second / "questionnaires", "mappings_dir": second / "mappings"}
    scorer = Scorer(ScoringOptions.from_settings(replace(Settings(), **folders), "summary"))
    pair = next(pair for pair in scorer.served.pairs.values() if pair.guidance.written.scores)
    for case in pair.guidance.cases[:5]:
        line = scorer.line(orjson.dumps(response_of(pair, case), default=digits), 1)
        (total, *_) = pair.guidance.evaluate(pair.compiled.answers_of(case.answers)).totals
        (score, *_) = line.facts.scores
        assert (score.name, score.at_least, score.value) == (
            total.score.name,
            digits(total.at_least),
            "" if total.value is None else digits(total.value),
        )
        assert orjson.loads(line.output)["scores"][0]["name"] == score.name


def test_a_summary_has_the_facts_and_leaves_out_what_is_not_stated(scorers):
    line = scorers["summary"].line(PLAIN, 9)
    summary = orjson.loads(line.output)
    assert summary == orjson.loads(orjson.dumps(line.facts.plain()))
    assert summary.keys() <= set(Facts._fields)
    assert summary["step"] == "self-care"
    assert summary["levels"][0]["outcome"] == "als"
    assert "encounter" not in summary


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"{", "json"),
        (b"\x00", "json"),
        (PLAIN[:40] + b"\x00" + PLAIN[40:], "json"),
        (b"\xff\xfe{\x00}\x00", "encoding"),
        (b"[]", "json-shape"),
        (b"null", "json-shape"),
        (b'{"resourceType":"Patient"}', "resource-type"),
        (b'{"resourceType":"QuestionnaireResponse","status":"completed"}', "canonical-missing"),
        (PLAIN.replace(b'"completed"', b'"entered-in-error"'), "status-not-scorable"),
        (b"[" * 100_000, "depth"),
        (b"\xef\xbb\xbf" + PLAIN, "encoding"),
    ],
)
def test_what_cannot_be_scored_is_told_with_its_line(raw, kind, scorer):
    line = scorer.line(raw, 17)
    document = outcome(line)
    assert document["id"] == "line-17"
    assert document["issue"][0]["diagnostics"].startswith("Line 17: ")
    assert document["issue"][0]["details"]["coding"][0]["code"] == kind
    assert line.facts == Facts(17, REFUSED, (kind,))


def test_a_byte_order_mark_and_the_end_of_a_line_are_no_part_of_a_record(scorer):
    plain = scorer.line(PLAIN, 1)
    assert scorer.line(b"\xef\xbb\xbf" + PLAIN + b"\r\n", 1) == plain
    assert scorer.line(b"  " + PLAIN + b" \r", 1) == plain


def test_a_line_that_is_too_long_is_refused(scorer):
    raw = PLAIN[:-1] + b" " * scorer.options.most_bytes + b"}"
    assert scorer.line(raw, 2) == scorer.too_long(2)
    assert outcome(scorer.too_long(2))["issue"][0]["code"] == "too-long"


def test_a_large_record_is_read_in_a_child_and_gives_the_same(scorer):
    document = orjson.loads(PLAIN)
    plain = scorer.line(PLAIN, 4)
    document["text"] = {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"x" * SMALL_LINE_BYTES}</div>',
    }
    assert scorer.line(orjson.dumps(document), 4) == plain


def test_a_failure_of_the_program_is_one_line_too(scorer, monkeypatch, caplog):
    def fails(*_):
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(scorer._assessor, "accepted", fails)
    assert outcome(scorer.line(PLAIN, 5))["issue"][0]["code"] == "exception"
    assert "canary" not in caplog.text
    assert "line 5: ZeroDivisionError in fails" in caplog.text


def test_a_machine_that_is_short_of_memory_is_waited_for(scorer, monkeypatch):
    pauses, forks = [], os.fork
    monkeypatch.setattr("service.bulk.scorer.time.sleep", pauses.append)
    plain = scorer.line(PLAIN, 4)

    def fails():
        if len(pauses) < 2:
            raise BlockingIOError
        return forks()

    monkeypatch.setattr("service.sandbox.posix.fork", fails)
    large = PLAIN[:-1] + b" " * SMALL_LINE_BYTES + b"}"
    monkeypatch.setattr(scorer._assessor, "accepted", lambda *_: None)
    assert scorer.line(large, 4) == plain
    assert pauses == [0.1, 1.0]


def test_where_there_never_is_memory_the_record_is_refused(scorer, monkeypatch):
    pauses = []
    monkeypatch.setattr("service.bulk.scorer.time.sleep", pauses.append)
    monkeypatch.setattr(scorer._sandbox, "call", lambda *_: (_ for _ in ()).throw(Unavailable(BUSY)))
    assert scorer.alone(PLAIN, 4) == scorer.refused(4, BUSY)
    assert pauses == [0.1, 1.0, 5.0, 20.0]


def test_a_date_behind_the_calendar_is_not_told(scorer):
    raw = (ROOT / "samples/progressive-weakness.json").read_bytes()
    stated = orjson.loads(raw)["authored"]
    facts = scorer.line(raw.replace(stated.encode(), b"9999-12-31T10:00:00Z"), 1).facts
    assert (facts.due_days, facts.due_date) == (14, "")


def test_options_hold_no_secret_and_can_go_to_another_process():
    settings = replace(Settings(), form_keys="canary-of-keys", store_url="sqlite:///canary.db")
    options = ScoringOptions.from_settings(settings, "bundle", "de")
    assert "canary" not in repr(options)
    assert pickle.loads(pickle.dumps(options)) == options
    assert (options.output, options.wanted_language) == ("bundle", "de")


def test_the_language_that_is_wanted_goes_before_that_of_the_response(scorer):
    german = Scorer(scorer.options._replace(wanted_language="de"), scorer.served)
    assert german.line(PLAIN, 1).facts.language == "de"
    assert scorer.line(PLAIN, 1).facts.language == "en"
