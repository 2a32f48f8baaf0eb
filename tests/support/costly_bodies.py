"""Bodies of at most a mebibyte, each made to cost a service as much as it can: what anybody may send."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from service.sandbox import SMALL_BYTES

Json = dict[str, Any]

MOST_BYTES = 1024 * 1024
FORM = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching|1.1.0"
GROUP = "strength"

_TYPE = "/fhir/QuestionnaireResponse"
_PAGE = "/questionnaires/muscle-twitching"
_PARTS = "multipart/form-data; boundary=x"
_SYSTEM = "urn:x"


class Costly(NamedTuple):
    """A request by POST."""

    path: str
    body: bytes
    media_type: str = "application/fhir+json"


# A Questionnaire that the response contains.


def with_form(items: list[Json], *contained: Json, answers: Iterable[Json] = ()) -> Json:
    """Returns a response that contains its Questionnaire, and what that refers to."""
    questionnaire = {"resourceType": "Questionnaire", "id": "q", "status": "active", "item": items}
    response = {
        "resourceType": "QuestionnaireResponse",
        "contained": [questionnaire, *contained],
        "questionnaire": "#q",
        "status": "completed",
    }
    answered = list(answers)
    return response | {"item": answered} if answered else response


def value_set(name: str, *include: Json, exclude: list[Json] | None = None) -> Json:
    """Returns a ValueSet; it has no url, so it is only known by its id."""
    compose: Json = {"include": list(include)} | ({"exclude": exclude} if exclude else {})
    return {"resourceType": "ValueSet", "id": name, "status": "active", "compose": compose}


def choice(link: str = "a", **more: Any) -> Json:
    """Returns a question on the value set `v0`."""
    return {"linkId": link, "type": "choice", "answerValueSet": "#v0", **more}


def coded(link: str, *codes: str) -> Json:
    """Returns a response item with these codes."""
    return {"linkId": link, "answer": [{"valueCoding": {"system": _SYSTEM, "code": code}} for code in codes]}


def numbered(count: int) -> list[Json]:
    """Returns codes as a value set or a code system lists them."""
    return [{"code": f"{number:x}"} for number in range(count)]


def value_sets_that_include_each_other(fewer: int = 0) -> Json:
    """Each of 17 value sets names the next one twenty times."""
    sets = [value_set(f"v{n}", *[{"valueSet": [f"#v{n + 1}"]}] * (20 - fewer)) for n in range(17)]
    last = value_set("v17", {"system": _SYSTEM, "concept": numbered(1)})
    return with_form([choice()], *sets, last, answers=[coded("a", "0")])


def groups_within_groups() -> Json:
    """25 nested groups that repeat, with 20 siblings each; 350 copies of the outermost."""
    items: list[Json] = []
    for level in range(25):
        siblings = [{"linkId": f"{level}-{n}", "type": "string"} for n in range(20)]
        items = [{"linkId": f"g{level}", "type": "group", "repeats": True, "item": [*siblings, *items]}]
    copy: Json = {"linkId": "0-0", "answer": [{"valueString": "x"}]}
    for level in range(25):
        copy = {"linkId": f"g{level}", "item": [copy]}
    return with_form(items, answers=[copy] * 350)


def chain_of_conditions() -> Json:
    """8,500 questions, each enabled by the one before."""
    items = [{"linkId": "0", "type": "boolean"}]
    for number in range(1, 8500):
        condition = {"question": str(number - 1), "operator": "=", "answerBoolean": True}
        items.append({"linkId": str(number), "type": "boolean", "enableWhen": [condition]})
    return with_form(items, answers=[{"linkId": "0", "answer": [{"valueBoolean": True}]}])


def questions_on_one_value_set() -> Json:
    """6,000 questions on one value set of many codes."""
    questions = [choice(f"{number}") for number in range(6000)]
    codes = value_set("v0", {"system": _SYSTEM, "concept": numbered(12_000)})
    return with_form(questions, codes, answers=[coded("0", "zz")])


def wrong_answers_beside_options() -> Json:
    """8,000 options and 8,000 answers, of which none is among them."""
    options = [{"valueCoding": {"system": _SYSTEM, "code": f"{number:x}"}} for number in range(8000)]
    question = {"linkId": "a", "type": "choice", "repeats": True, "answerOption": options}
    return with_form([question], answers=[coded("a", *(f"w{number:x}" for number in range(8000)))])


def fixed_answers_in_another_order() -> Json:
    """A question that is read-only, with 8,000 initial values and the same answers backwards."""
    values = [{"valueInteger": number} for number in range(8000)]
    question = {"linkId": "a", "type": "integer", "repeats": True, "readOnly": True, "initial": values}
    return with_form([question], answers=[{"linkId": "a", "answer": values[::-1]}])


def code_system_included_often() -> Json:
    """15,000 codes, included 3,000 times."""
    system = {"resourceType": "CodeSystem", "id": "s", "url": _SYSTEM, "content": "complete"}
    system |= {"status": "active", "concept": numbered(15_000)}
    return with_form([choice()], value_set("v0", *[{"system": _SYSTEM}] * 3000), system)


def excluded_often() -> Json:
    """A value set of 15,000 codes from which one code is excluded 4,000 times."""
    exclude = [{"system": _SYSTEM, "concept": [{"code": "zz"}]}] * 4000
    codes = value_set("v0", {"system": _SYSTEM, "concept": numbered(15_000)}, exclude=exclude)
    return with_form([choice()], codes)


def filter_of_many_codes() -> Json:
    """A filter `in` that lists 100,000 codes, on a code system of many."""
    listed = ",".join(f"{number:x}" for number in range(100_000))
    filtered = {"system": _SYSTEM, "filter": [{"property": "code", "op": "in", "value": listed}]}
    system = {"resourceType": "CodeSystem", "id": "s", "url": _SYSTEM, "content": "complete"}
    system |= {"status": "active", "concept": numbered(15_000)}
    return with_form([choice()], value_set("v0", filtered), system)


# A Questionnaire that is served.


def to_served(items: str, count: int) -> bytes:
    """Returns a response to the served form with these items, given as text, over and over."""
    head = f'{{"resourceType":"QuestionnaireResponse","questionnaire":"{FORM}","status":"completed","item":['
    return (head + ",".join([items] * count) + "]}").encode()


def empty_items() -> bytes:
    return to_served("{}", 300_000)


def repeated_group() -> bytes:
    return to_served(f'{{"linkId":"{GROUP}"}}', 43_000)


def unknown_items() -> bytes:
    return to_served('{"linkId":"x","text":"y"}', 35_000)


def unknown_properties() -> bytes:
    return to_served('{"linkId":"x","y":1,"z":2}', 35_000)


def wrong_answers() -> bytes:
    return to_served('{"linkId":"x","answer":[{"valueCoding":1}]}', 21_000)


def repeated_names() -> bytes:
    return to_served('{"linkId":"x","linkId":"y"}', 35_000)


def small(body: Callable[[], bytes]) -> bytes:
    """Returns a body of the same kind that is just small enough to be read where it arrives."""
    return body()[: SMALL_BYTES - 2].rpartition(b",{")[0] + b"]}"


def valid_but_long() -> bytes:
    """A response that is valid, and has 12,000 extensions."""
    extensions = b",".join([b'{"url":"urn:x","valueString":"' + b"x" * 40 + b'"}'] * 12_000)
    return (
        to_served('{"linkId":"start"}', 1)
        .replace(b'"status":"completed"', b'"status":"in-progress"')
        .replace(b'"item"', b'"extension":[' + extensions + b'],"item"')
    )


def withdrawn() -> bytes:
    """A response that was entered in error, with 12,000 items that are valid R4 and answer nothing."""
    body = to_served('{"linkId":"x","answer":[{"valueString":"y"}],"text":"z"}', 17_000)
    return body.replace(b'"status":"completed"', b'"status":"entered-in-error"')


# Bundles.


def bundle(kind: str, entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Returns a batch or transaction of POST requests."""
    listed = [
        {"resource": orjson.Fragment(body), "request": {"method": "POST", "url": path.removeprefix("/fhir/")}}
        for path, body in entries
    ]
    return orjson.dumps({"resourceType": "Bundle", "type": kind, "entry": listed})


def batch_of_forms() -> bytes:
    forms = [value_sets_that_include_each_other(fewer) for fewer in range(7)]
    return bundle("batch", [(f"{_TYPE}/$validate", orjson.dumps(form)) for form in forms])


def batch_of_responses() -> bytes:
    items = [to_served(f'{{"linkId":"{GROUP}"}}', count) for count in range(350, 450)]
    return bundle("batch", [(f"{_TYPE}/$validate", body) for body in items])


def empty_entries() -> bytes:
    return b'{"resourceType":"Bundle","type":"batch","entry":[' + b",".join([b"{}"] * 300_000) + b"]}"


def parameters_without_end() -> bytes:
    return b'{"resourceType":"Parameters","parameter":[' + b",".join([b"{}"] * 300_000) + b"]}"


_FORMS: tuple[Callable[[], Json], ...] = (
    value_sets_that_include_each_other,
    groups_within_groups,
    chain_of_conditions,
    questions_on_one_value_set,
    wrong_answers_beside_options,
    fixed_answers_in_another_order,
    code_system_included_often,
    excluded_often,
    filter_of_many_codes,
)

_TO_SERVED: tuple[Callable[[], bytes], ...] = (
    empty_items,
    repeated_group,
    unknown_items,
    unknown_properties,
    wrong_answers,
    repeated_names,
)


# Pages of a form.


def form_of_many_controls() -> bytes:
    return b"&a" * 500_000


def form_of_many_parameters(each: int = 150) -> bytes:
    """A form whose parts say a lot of what they are."""
    part = b'--x\r\nContent-Disposition: form-data; name="a"; ' + b'a="b";' * each + b"\r\n\r\n\r\n"
    return part * (1_000_000 // len(part)) + b"--x--"


def requests() -> dict[str, Costly]:
    """Returns every request by name."""
    named = {form.__name__: Costly(f"{_TYPE}/$validate", orjson.dumps(form())) for form in _FORMS}
    for made in _TO_SERVED:
        named[made.__name__] = Costly(f"{_TYPE}/$validate", made())
    for made in _TO_SERVED:
        named[f"small_{made.__name__}"] = Costly(f"{_TYPE}/$assess", small(made))
    named |= {
        "scored_empty_items": Costly(f"{_TYPE}/$assess", empty_items()),
        "scored_repeated_group": Costly(f"{_TYPE}/$assess", repeated_group()),
        "processed_repeated_group": Costly("/fhir/Questionnaire/$process-response", repeated_group()),
        "stored_repeated_group": Costly(_TYPE, repeated_group()),
        "stored_valid_but_long": Costly(_TYPE, valid_but_long()),
        "scored_valid_but_long": Costly(f"{_TYPE}/$assess", valid_but_long()),
        "stored_withdrawn": Costly(_TYPE, withdrawn()),
        "batch_of_forms": Costly("/fhir", batch_of_forms()),
        "batch_of_responses": Costly("/fhir", batch_of_responses()),
        "batch_of_one_large": Costly("/fhir", bundle("batch", [(f"{_TYPE}/$assess", repeated_group())])),
        "transaction_of_one_large": Costly("/fhir", bundle("transaction", [(_TYPE, repeated_group())])),
        "transaction_of_one_empty": Costly("/fhir", bundle("transaction", [(_TYPE, empty_items())])),
        "empty_entries": Costly("/fhir", empty_entries()),
        "form_of_many_controls": Costly(_PAGE, form_of_many_controls(), "application/x-www-form-urlencoded"),
        "form_of_many_parameters": Costly(_PAGE, form_of_many_parameters(), _PARTS),
        "form_of_one_long_head": Costly(_PAGE, form_of_many_parameters(160_000), _PARTS),
        "parameters_without_end": Costly("/fhir/ValueSet/$expand", parameters_without_end()),
    }
    return named
