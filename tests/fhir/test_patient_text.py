"""What a patient reads: what to do, by when and why comes first, in 200 words, and nothing contradicts it."""

from types import SimpleNamespace
from typing import Any

import pytest

from service.datatypes.answers import Answers, Quantity
from service.datatypes.values import replace
from service.guidance import model
from service.guidance.conditions import Answered
from service.guidance.result import Due, Fired, Interval, Risk
from service.results import Numbers, Renderer
from service.results.patient import MOST_REASONS, MOST_WORDS

NO_NUMBERS = Numbers()
OWN = {
    "own": model.Says("your own doctor", "Usual doctor"),
    "specialist": model.Says("a specialist", "Specialist"),
}


@pytest.fixture
def text(guidance, make_assessment):
    """Writes the text of a result; keywords change the context."""

    def written(result: Any, answers: Any = None, *, numbers: Numbers = NO_NUMBERS, **more: Any) -> str:
        members = {"addressees": OWN, **more.pop("written", {})}
        changed = replace(guidance.written, **members)
        parts = SimpleNamespace(
            written=changed, form=guidance.form, contradictions=guidance.contradictions, language="en"
        )
        renderer = Renderer(parts, numbers=numbers)
        return renderer.patient.text(make_assessment(result, answers or Answers({}), **more))

    return written


def advice(name: str, group: str, words: str = "", **more: Any) -> model.Advice:
    says = model.Says(words or f"You: {name}", "")
    return replace(model.Advice(name, group, None, says, (), "article", ()), **more)


def due(days: int, to: str = "", rule: Any = None) -> Due:
    return Due(days, to, rule)


def first_part(text: str) -> str:
    return text.partition("\n\nRead more\n")[0]


def test_the_whole_text_in_its_order(text, make_result, guidance):
    looks = Risk(guidance.written.outcomes[0], Interval(2, 2), (Fired(guidance.written.rules[2], ()),))
    result = make_result(
        risks=(looks,),
        due=due(14),
        step_due=due(14),
        advice=(
            advice("rest", "self-care"),
            advice("again", "come-back"),
            advice("signs", "safety"),
            advice("film", "information"),
        ),
    )
    assert text(result) == (
        "Demo <guidance>\n\n"
        "Now, by 19 January 2026.\nYou: tier now\n\n"
        "Why:\nYou: rule fever-is-urgent\n\n"
        "What your answers look like:\nYou: rule flu-high\n\n"
        "What you can do:\nYou: rest\n\n"
        "What happens next:\nYou: again\n\n"
        "In an emergency:\nYou: signs\n\n"
        "Read more\n\n"
        "Good to know:\nYou: film\n\n"
        "You: decision support The rules behind it: none.\n"
    )


def test_the_title_is_for_people_where_the_guidance_has_one(text, make_result, guidance):
    identity = replace(guidance.written.identity, patient_title="Your check")
    assert text(make_result(), written={"identity": identity}).startswith("Your check\n")


@pytest.mark.parametrize(
    ("authored", "said"),
    [
        ("2026-01-05", "Now, by 16 February 2026."),
        ("2026-01", "Now, within 6 weeks."),
        (None, "Now, within 6 weeks."),
    ],
)
def test_a_date_is_one_of_the_calendar_where_the_day_is_known(text, make_result, authored, said):
    assert said in text(make_result(due=due(42), step_due=due(42)), authored=authored)


def test_what_is_due_earlier_comes_first_with_whom_it_is_for(text, make_result):
    def step(due: Due, step_due: Due) -> str:
        return text(make_result(due=due, step_due=step_due)).splitlines()[2]

    own, late = due(7, "own"), due(42)
    assert step(own, late) == "See your own doctor, by 12 January 2026. Now, by 16 February 2026."
    assert step(due(7), late) == "Get advice, by 12 January 2026. Now, by 16 February 2026."
    assert step(late, late) == "Now, by 16 February 2026."


def test_a_step_that_is_for_somebody_else_names_them_in_its_place(text, make_result):
    told = text(make_result(due=due(42, "specialist"), step_due=due(42, "specialist")))
    assert told.splitlines()[2] == "See a specialist, by 16 February 2026."


def test_a_step_for_people_who_know_the_patient_has_their_words(text, make_result):
    own = {"addressees": OWN | {"own": replace(OWN["own"], step="They know you.")}}
    for_them = make_result(due=due(42, "own"), step_due=due(42, "own"))
    assert "by 16 February 2026.\nThey know you.\n" in text(for_them, written=own)
    assert "by 16 February 2026.\nYou: tier now\n" in text(for_them)
    assert "\nYou: tier now\n" in text(make_result(due=due(7, "own"), step_due=due(42)), written=own)


def test_a_step_without_a_date_has_its_target(text, make_result):
    assert "\n\nNow. Target now.\n" in text(make_result())


def test_each_reason_has_the_words_for_what_was_answered_and_the_values(text, make_result, guidance):
    rule = replace(
        guidance.written.rules[0],
        shows=("days",),
        says=model.Says("You said yes.", "", patient_unsure="You were not sure."),
    )
    answers = Answers({"days": (Quantity(4, "mo"),)})
    for unsure, said in ((False, "You said yes (4 months)."), (True, "You were not sure (4 months).")):
        assert f"Why:\n{said}\n" in text(make_result(fired=(Fired(rule, (), unsure=unsure),)), answers)
    plain = replace(rule, says=model.Says("You said yes.", ""), shows=())
    assert "Why:\nYou said yes.\n" in text(make_result(fired=(Fired(plain, (), unsure=True),)))


def test_answers_stand_behind_what_they_belong_to(text, make_result, guidance):
    answers = Answers({"days": (Quantity(4, "mo"),)})

    def told(words: str) -> str:
        rule = replace(guidance.written.rules[0], shows=("days",), says=model.Says(words, ""))
        written = text(make_result(fired=(Fired(rule, ()),)), answers)
        return written.partition("Why:\n")[2].partition("\n")[0]

    assert told("It is far off. Have it checked.") == "It is far off (4 months). Have it checked."
    assert told("You were not sure: call today.") == "You were not sure (4 months): call today."
    assert told("It was 31. May, or so.") == "It was 31. May, or so (4 months)."


def test_an_outcome_that_every_report_names_explains_itself_in_no_text(text, make_result, guidance):
    fired = (Fired(guidance.written.rules[2], ()),)
    named, pointed = (replace(guidance.written.outcomes[0], listed_from=level) for level in ("", "high"))
    assert "You: flu" not in text(make_result(risks=(Risk(named, Interval(2, 2), fired),)))
    assert "Good to know:\nYou: flu\n" in text(make_result(risks=(Risk(pointed, Interval(2, 2), fired),)))


def test_two_of_the_next_steps_come_first(text, make_result):
    pieces = tuple(advice(name, "come-back") for name in ("call", "visit", "later"))
    first, _, more = text(make_result(advice=pieces)).partition("Read more")
    assert "What happens next:\n- You: call\n- You: visit\n" in first
    assert "What happens next:\nYou: later\n" in more


def test_who_arranges_the_visit_is_said_before_when_to_come_back(text, make_result):
    pieces = (advice("again", "come-back"), advice("ask", "visit"), advice("other", "visit"))
    first, _, more = text(make_result(advice=pieces)).partition("Read more")
    assert "What happens next:\n- You: ask\n- You: again\n" in first
    assert "What happens next:\nYou: other\n" in more


def test_where_there_is_no_room_for_both_what_to_watch_for_comes_first(text, make_result):
    pieces = (advice("again", "come-back", long(100, "again")), advice("ask", "visit", long(100, "ask")))
    first, _, more = text(make_result(advice=pieces)).partition("Read more")
    assert "again word" in first
    assert "ask word" in more


def test_at_most_four_reasons_come_first_and_contained_ones_nowhere(text, make_result, guidance):
    rule = guidance.written.rules[0]
    rules = [replace(rule, name=f"r{n}", says=model.Says(f"Reason {n}.", "")) for n in range(6)]
    rules[1] = replace(rules[1], beside=("r0",))
    written = text(make_result(fired=tuple(Fired(each, ()) for each in rules)))
    first, _, more = written.partition("Read more")
    assert first.count("- Reason") == MOST_REASONS
    assert "More reasons:\nReason 5." in more
    assert "Reason 1." not in written


def test_what_is_due_at_no_time_is_a_reason_for_its_own_step_only(text, make_result, guidance):
    rule = guidance.written.rules[0]
    own = replace(rule, name="own", says=model.Says("Of the step.", ""))
    lower = replace(rule, name="lower", tier="home", says=model.Says("All is well.", ""))
    fired = (Fired(own, (), days=14), Fired(lower, ()))
    assert "All is well." not in text(make_result(fired=fired, due=due(14), step_due=due(14)))
    assert "All is well." in text(make_result(fired=fired))
    assert "Of the step." in text(make_result(fired=(Fired(own, ()),), due=due(14), step_due=due(14)))


def long(words: int, name: str) -> str:
    return " ".join([name, *["word"] * (words - 1)])


@pytest.mark.parametrize("words", [10, 30, 60, 150])
def test_however_long_the_guidance_is_what_comes_first_is_short(text, make_result, guidance, words):
    rule, outcome = guidance.written.rules[0], guidance.written.outcomes[0]
    fired = tuple(
        Fired(replace(rule, name=f"r{n}", says=model.Says(long(words, f"r{n}"), "")), ()) for n in range(6)
    )
    groups = ("self-care", "self-care", "self-care", "self-care", "come-back", "information")
    pieces = [advice(f"a{n}", group, long(words, f"a{n}")) for n, group in enumerate(groups)]
    line = advice("line", "safety", long(30, "line"))
    looks = Risk(outcome, Interval(2, 2), ())
    written = text(make_result(fired=fired, risks=(looks,), advice=(*pieces, line)))
    first = first_part(written)
    assert len(first.split()) <= max(MOST_WORDS, 60 + words)
    assert "r0" in first
    assert "line word" in first
    for name in (*(f"r{n}" for n in range(6)), *(f"a{n}" for n in range(6))):
        assert written.count(f"{name} word") == 1


def test_at_a_safety_step_only_what_to_do_now_and_why_is_said(text, make_result, guidance):
    tiers = (*guidance.written.tiers[:3], replace(guidance.written.tiers[3], overlay=True))
    result = make_result(
        tiers=tiers,
        due=due(0),
        step_due=due(0),
        advice=(
            advice("call", "safety", when=Answered("fever")),
            advice("rest", "self-care"),
            advice("again", "come-back"),
            advice("signs", "safety"),
        ),
    )
    assert text(result) == (
        "Demo <guidance>\n\nNow.\nYou: tier now\n\nYou: call\n\nWhy:\nYou: rule fever-is-urgent\n\n"
        "In an emergency:\nYou: signs\n\nYou: decision support The rules behind it: none.\n"
    )


def test_numbers_of_the_country_stand_where_the_guidance_asks_for_them(text, make_result, guidance):
    numbers = Numbers("112", "116 123")
    pieces = (
        advice("early", "safety", number="emergency"),
        advice("line", "safety", number="emergency"),
        advice("talk", "self-care", number="crisis"),
    )
    told = text(make_result(advice=pieces), numbers=numbers)
    assert "In an emergency:\nYou: line Emergency number: 112.\n" in told
    assert "You: talk Crisis line: 116 123." in told
    without = text(make_result(advice=pieces))
    assert "number:" not in without
    assert "line:" not in without


def test_one_emergency_line_is_said_first_that_of_the_patient_before_the_one_for_everybody(text, make_result):
    general = advice("signs", "safety", number="emergency")
    own = advice("shakes", "safety", number="emergency", when=Answered("fever"))
    first, _, more = text(make_result(advice=(own, general))).partition("Read more")
    assert "In an emergency:\nYou: shakes\n" in first
    assert "You: signs" not in first
    assert "In an emergency:\nYou: signs\n" in more


def test_what_is_there_only_because_its_question_is_open_is_no_second_emergency_line(text, make_result):
    general = advice("signs", "safety", number="emergency")
    own = advice("shakes", "safety", number="emergency", when=Answered("fever"))
    careful = advice("careful", "safety", when=Answered("fever"))
    pieces = (own, careful, advice("rest", "self-care"), general)
    told = text(make_result(advice=pieces, precautions=(own, careful)))
    assert "What you can do:\n- You: rest\n- You: careful\n" in told
    assert "In an emergency:\nYou: signs\n" in told
    assert "You: shakes" not in told


def test_the_emergency_line_is_not_said_twice(text, make_result, guidance):
    tiers = (*guidance.written.tiers[:3], replace(guidance.written.tiers[3], number="emergency"))
    told = text(make_result(tiers=tiers, advice=(advice("signs", "safety"),)), numbers=Numbers("112"))
    assert "You: tier now Emergency number: 112." in told
    assert "In an emergency" not in told


def test_while_the_step_is_open_it_says_so_and_asks(text, unsettled, troubled):
    asked = text(unsettled)
    assert (
        "\n\nNot assessable yet. Answer the open questions first.\nWe cannot say yet what you should do, "
        "because some questions are still open.\n\nPlease answer these first:\nFever above" in asked
    )
    least = text(troubled)
    assert "\n\nNot settled yet. So far: Soon. Target soon.\nThis is the least that we advise" in least
    assert "Questions that are still open, in this order:\nFever above" in least.partition("Read more")[2]
    assert "Please check your answers:\nYou: both cannot be" in first_part(least)


def test_a_step_that_is_open_only_by_not_sure_says_what_it_means_and_asks_nothing(text, troubled):
    unsure = tuple(replace(question, unsure=True) for question in troubled.open)
    told = text(replace(troubled, open=unsure))
    assert "\n\nSoon. Target soon.\nYou: tier soon" in told
    assert "still open" not in told


def test_while_nothing_is_assessable_no_likeness_comforts_anybody(text, unsettled, guidance):
    looks = Risk(guidance.written.outcomes[0], Interval(2, 2), ())
    first, _, more = text(replace(unsettled, risks=(looks,))).partition("Read more")
    assert "look like" not in first
    assert "compared with:\nYou: flu\n" in more


def test_a_lowest_step_that_is_no_step_yet_says_so_in_its_own_words(text, unsettled):
    own = replace(unsettled.tiers[0], code=model.NOT_ASSESSABLE)
    told = text(replace(unsettled, tiers=(own, *unsettled.tiers[1:])))
    assert "\n\nUnknown. Target unknown.\nYou: tier unknown\n" in told


def test_a_safety_step_that_is_open_says_what_it_means(text, troubled):
    tiers = tuple(replace(tier, overlay=tier.rank > 1) for tier in troubled.tiers)
    told = text(replace(troubled, tiers=tiers))
    assert "\n\nSoon.\nYou: tier soon" in told
    assert "still open" not in told


def test_an_unsettled_level_alone_asks_the_patient_nothing(text, make_result, unsettled):
    assert "still open" not in text(make_result(settled=False, open=unsettled.open))


def test_what_the_answers_look_like_is_the_settled_pattern_that_they_fit_best(text, make_result, guidance):
    flu, other = guidance.written.outcomes

    def told(*risks: Risk) -> str:
        found = first_part(text(make_result(risks=risks))).partition("look like:\n")[2]
        return found.partition("\n")[0]

    assert told(Risk(flu, Interval(1, 1), ()), Risk(other, Interval(1, 1), ())) == "You: other"
    assert told(Risk(flu, Interval(2, 2), ()), Risk(other, Interval(1, 1), ())) == "You: other"
    assert told(Risk(flu, Interval(2, 2), ()), Risk(other, Interval(0, 0), ())) == "You: flu"
    assert told(Risk(flu, Interval(1, 2), ())) == ""
    assert told(Risk(flu, Interval(0, 0), ())) == ""


def test_when_to_look_again_is_a_day_where_the_day_is_known(text, make_result):
    assert "\n\nNow. Check again on 23 January 2026.\n" in text(make_result(recheck=18))
    assert "\n\nNow. Check again in 2 weeks.\n" in text(make_result(recheck=14), authored=None)


def test_nothing_meant_for_clinicians_is_in_it(text, make_result, unsettled, troubled):
    for result in (make_result(), unsettled, troubled):
        assert "linician" not in text(result)


def test_in_short_it_says_the_step_and_what_it_means(renderer, make_assessment, make_result, troubled):
    assert renderer.patient.in_short(make_assessment(make_result())) == "Now. Target now.\nYou: tier now"
    assert renderer.patient.in_short(make_assessment(troubled)).startswith("Not settled yet. So far: Soon.")
