"""Twelve patients whose texts are accepted word for word: worked cases of the mapping."""

from service.catalogue import Pair
from service.fhir.response_context import ResponseContext
from service.results import Assessment

BETWEEN = "\n---- the clinician reads ----\n\n"

PATIENTS = {
    "plain": "plain-eyelid-three-days",
    "anxious": "anxiety-related-twitching-for-a-week",
    "eyelid-four-weeks": "four-weeks-are-over-the-cut-off",
    "face-and-numbness": "cheek-for-a-month-with-numbness-makes-the-ms-pattern-high",
    "progressive-weakness": "growing-weakness-with-wasting-makes-the-als-pattern-high",
    "bulbar": "speech-that-got-worse-for-28-days-leads-to-prompt-evaluation",
    "alcohol": "shaking-after-stopping-alcohol-is-an-emergency",
    "serotonin": "a-new-medicine-with-sweating-shaking-and-restlessness-is-an-emergency",
    "low-potassium": "potassium-under-the-edge-is-low",
    "known-ms": "known-ms-with-a-new-eyelid-twitch-goes-to-the-ms-team",
    "long-and-examined": "benign-fasciculation-for-two-years-after-a-normal-examination",
    "partial": "stopped-after-the-first-signs-were-denied",
}

MOST_WORDS, MOST_REASONS, MOST_THINGS, MOST_DATES = 200, 4, 3, 2


def assessed(pair: Pair, name: str) -> Assessment:
    """What is made of a worked case, as of a response that was written on its day."""
    (case,) = [case for case in pair.guidance.cases if case.name == name]
    authored = case.authored
    answers = pair.compiled.answers_of(case.answers, chart=case.chart, authored=authored)
    context = ResponseContext("x", None, pair.compiled.canonical, case.status, None, None, authored)
    return Assessment(pair.guidance.evaluate(answers), answers, context)


def listed(text: str, heading: str) -> list[str]:
    """The lines below a heading, up to the next blank line."""
    below = text.partition(f"\n{heading}\n")[2].partition("\n\n")[0]
    return below.splitlines()
