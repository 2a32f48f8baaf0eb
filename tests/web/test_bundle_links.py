"""Which texts of a resource are links, and what becomes of them: check BU05 without a server."""

import pytest

from service.web.bundle_links import FIXED, NARRATIVE, REFERENCE, URI, Target, links_in, relinked, root_of

OLD, NEW = "urn:uuid:0b6d1f6c-7a52-4a5e-9c7e-0a1b2c3d4e5f", "QuestionnaireResponse/new"
FAR = "https://ehr.example.org/fhir/QuestionnaireResponse/a"
TARGETS = {OLD: Target(NEW, 1), FAR: Target("QuestionnaireResponse/b", 7)}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


def response(**members):
    return {"resourceType": "QuestionnaireResponse", "status": "completed", **members}


def extension(name, value=OLD):
    return response(extension=[{"url": "https://example.org/x", name: value}])


def categories(resource):
    return {link.text: link.category for link in links_in(resource)}


def after(text, resource=None, root=""):
    """Returns what a reference becomes."""
    (link,) = links_in(resource or response(subject={"reference": text}))
    return relinked(link, TARGETS, root)


@pytest.mark.parametrize(
    ("resource", "category"),
    [
        (response(subject={"reference": OLD}), REFERENCE),
        (response(basedOn=[{"display": "x"}, {"reference": OLD}]), REFERENCE),
        (extension("valueReference", {"reference": OLD}), REFERENCE),
        (extension("valueUri"), URI),
        (extension("valueUrl"), URI),
        (extension("valueOid"), FIXED),
        (extension("valueUuid"), FIXED),
        (extension("valueAttachment", {"url": OLD}), URI),
        (response(item=[{"linkId": "a", "item": [{"linkId": "b", "answer": [{"valueUri": OLD}]}]}]), URI),
        (response(contained=[{"resourceType": "Observation", "subject": {"reference": OLD}}]), REFERENCE),
        (response(contained=[{"resourceType": "Observation", "identifier": [{"system": OLD}]}]), URI),
        (response(contained=[{"resourceType": "Other", "deep": [{"a": {"reference": OLD}}]}]), REFERENCE),
        (response(contained=[{"resourceType": "Other", "valueUri": OLD}]), URI),
        (response(contained=[{"resourceType": "Other", "text": {"div": OLD}}]), NARRATIVE),
        (response(contained=[{"deep": {"reference": OLD}}]), REFERENCE),
        (response(text={"status": "generated", "div": OLD}), NARRATIVE),
        (response(_authored={"extension": [{"url": "https://example.org/x", "valueUri": OLD}]}), URI),
    ],
)
def test_a_link_is_found_wherever_r4_has_one(resource, category):
    assert categories(resource)[OLD] == category


@pytest.mark.parametrize(
    "resource",
    [
        response(questionnaire=OLD),
        response(identifier={"system": "urn:ietf:rfc:3986", "value": OLD}),
        extension("valueString"),
        extension("valueCanonical"),
        extension("valueCode"),
        extension("valueId"),
        response(item=[{"linkId": OLD, "text": OLD}]),
        response(contained=[{"resourceType": "Other", "value": OLD, "valueString": OLD, "many": [OLD, 1]}]),
        response(extension=[{"url": OLD}]),
    ],
)
def test_what_only_looks_like_a_link_is_none(resource):
    assert OLD not in categories(resource)


def test_a_link_knows_its_place():
    (link,) = links_in(response(basedOn=[{}, {"reference": OLD}]))
    assert link.place == ((None, "basedOn", 1), "reference", None)


@pytest.mark.parametrize("resource", [{}, {"resourceType": 1}, {"resourceType": "Nothing", "a": [[1]]}])
def test_a_resource_that_is_none_has_no_links(resource):
    assert categories(resource) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, NEW),
        (f"{OLD}#part", f"{NEW}#part"),
        (f"{OLD}/_history/9", f"{NEW}/_history/1"),
        (FAR, "QuestionnaireResponse/b"),
        (f"{FAR}/_history/3", "QuestionnaireResponse/b/_history/7"),
        (f"{OLD}x", f"{OLD}x"),
        ("urn:uuid:other", "urn:uuid:other"),
        ("#inside", "#inside"),
        ("QuestionnaireResponse/a", "QuestionnaireResponse/a"),
        ("Patient/1", "Patient/1"),
    ],
)
def test_bu05_a_link_to_an_entry_becomes_that_to_what_the_entry_becomes(old, new):
    assert after(old) == new


def test_bu05_a_relative_reference_is_relative_to_the_full_url_of_its_own_entry():
    root = root_of("https://ehr.example.org/fhir/Observation/z")
    assert after("QuestionnaireResponse/a", root=root) == "QuestionnaireResponse/b"
    assert after("QuestionnaireResponse/c", root=root) == "QuestionnaireResponse/c"


@pytest.mark.parametrize(
    "url", [OLD, "https://ehr.example.org/fhir/observation/z", "https://ehr.example.org/", ""]
)
def test_only_a_restful_url_has_a_root(url):
    assert root_of(url) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'<a href="{OLD}">x</a>', f'<a href="{NEW}">x</a>'),
        (f"<a title='x' href = '{OLD}'>x</a>", f"<a title='x' href = \"{NEW}\">x</a>"),
        (f'<img alt="x" src="{FAR}/_history/1"/>', '<img alt="x" src="QuestionnaireResponse/b/_history/7"/>'),
        (f'<a href="{OLD}#a&amp;b">x</a>', f'<a href="{NEW}#a&amp;b">x</a>'),
        (
            '<a href="https://example.org?a=1&amp;b=2">x</a>',
            '<a href="https://example.org?a=1&amp;b=2">x</a>',
        ),
        (f'href="{OLD}"', f'href="{OLD}"'),
        (f'<p title="{OLD}">{OLD}</p>', f'<p title="{OLD}">{OLD}</p>'),
        (f'<a nohref="{OLD}">x</a>', f'<a nohref="{OLD}">x</a>'),
    ],
)
def test_bu05_links_in_a_narrative_are_replaced_and_text_is_not(old, new):
    assert (
        after("", response(text={"status": "generated", "div": f"{DIV}{old}</div>"})) == f"{DIV}{new}</div>"
    )


@pytest.mark.parametrize("piece", ["<a href='", '<a href="', "<a ", " href", "<a href=\"'", "<a href='\"'\""])
def test_bu08_a_broken_narrative_costs_no_more_than_its_length(piece):
    div = piece * (500_000 // len(piece))
    assert after("", response(text={"status": "generated", "div": div})) == div
