"""How many real responses the accept path takes, by a folder of them.

Reads every Questionnaire and QuestionnaireResponse in JSON below a folder, pairs them by canonical (else by
the id that a reference ends with), and says of each valid response how far it gets: `typed` is the reading
in C, `parsed` the same walk over parsed JSON, `full` is laid over the whole form. `remark` is too, and must
be: the check has a warning or a notice to give, such as a value set that it does not have. Nobody's corpus
stands in this repository; public ones are the examples of HL7/sdc, FHIR/fhir-test-cases, LHNCBC/lforms,
google/android-fhir, aehrc/smart-forms, opensrp/fhircore and cqframework/clinical-reasoning.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from service.errors import ServiceError
from service.fhir.accept import decoder
from service.fhir.json import BodyLimits, Json, read
from service.fhir.structure import check_response
from service.questionnaire import COMPLETE_STATUSES, CompiledQuestionnaire, compile_leniently
from service.terminology import value_sets_from

LIMITS = BodyLimits()
WAYS = ("typed", "parsed", "full")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="name every response with the way that it takes")
    asked = parser.parse_args()
    forms: dict[str, Json] = {}
    responses: list[tuple[Path, bytes, Json]] = []
    for path, data, resource in resources(asked.folder):
        if resource["resourceType"] == "Questionnaire":
            forms |= dict.fromkeys(names(resource), resource)
        else:
            responses.append((path, data, resource))
    counts: Counter[str] = Counter()
    compiled: dict[int, CompiledQuestionnaire] = {}
    for path, data, response in responses:
        way = way_of(data, response, forms, compiled)
        counts[way] += 1
        if asked.list:
            print(f"{way:<22}{path}")
    report(counts)


def resources(folder: Path) -> Iterator[tuple[Path, bytes, Json]]:
    """Yields what can be read at all; a file that cannot be is no example of what arrives."""
    for path in sorted(folder.rglob("*.json")):
        data = path.read_bytes()
        try:
            resource = read(data, LIMITS)
        except ServiceError:
            continue
        if resource.get("resourceType") in ("Questionnaire", "QuestionnaireResponse"):
            yield path, data, resource


def names(form: Json) -> Iterator[str]:
    """Yields what a response may call a form."""
    url, version = form.get("url"), form.get("version")
    yield from (f"{url}|{version}", str(url)) if url else ()
    yield from (f"Questionnaire/{form['id']}",) if "id" in form else ()


def form_of(response: Json, forms: dict[str, Json]) -> Json | None:
    named = str(response.get("questionnaire", ""))
    plain = named.partition("|")[0]
    contained = (f for f in response.get("contained", ()) if named == f"#{f.get('id')}")
    return (
        next(contained, None)
        or forms.get(named)
        or forms.get(plain)
        or forms.get("/".join(plain.split("/")[-2:]))
    )


def way_of(
    data: bytes, response: Json, forms: dict[str, Json], compiled: dict[int, CompiledQuestionnaire]
) -> str:
    form = form_of(response, forms)
    if form is None:
        return "no Questionnaire"
    if id(form) not in compiled:
        compiled[id(form)] = compile_leniently(form, value_sets_from((form,)))
        compiled[id(form)].complete()
    known, status = compiled[id(form)], str(response.get("status"))
    if check_response(response):
        return "not R4"
    typed = decoder([known.form])(data)
    if typed is not None and known.accept(typed.item, status in COMPLETE_STATUSES) is not None:
        return "typed"
    if known.accept_parsed(response, status) is not None:
        return "parsed"
    severities = {found.severity for found in known.check(response).problems}
    return "not valid" if "error" in severities else "remark" if severities else "full"


def report(counts: Counter[str]) -> None:
    valid = max(1, sum(counts[way] for way in WAYS))
    for way in WAYS:
        print(f"{way:<18}{counts[way]:5}{counts[way] / valid:7.0%} of the valid ones without a remark")
    for way in sorted(counts.keys() - set(WAYS)):
        print(f"{way:<18}{counts[way]:5}")


if __name__ == "__main__":
    main()
