"""What a page shows: made of a Questionnaire and the answers so far, written by the templates.

No HTTP and no words of a clinic: every text comes from the Questionnaire, the guidance or the languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Choice(msgspec.Struct, frozen=True):
    """One option of a question, or one unit of a quantity.

    Args:
        value: what the browser sends: the code, or `system|code` where codes alone do not tell options apart.
        is_exclusive: choosing it takes back the others (SDC questionnaire-optionExclusive).
        media: url of a picture that stands beside it, or empty.
    """

    value: str
    label: str
    is_chosen: bool = False
    is_exclusive: bool = False
    media: str = ""


class Field(msgspec.Struct, frozen=True):
    """One item of a page.

    Args:
        id: of the element: unique in the page, `q` and the item's order. The error summary links to it.
        link_id: the names of its controls are `q.<linkId>`, and beside it `u.<linkId>` for the unit of a
            quantity, `o.<linkId>` for the other text of an open-choice, and `d.`, `m.`, `y.` for the parts
            of a date (`t.` for the time of a dateTime).
        kind: radios, checkboxes, select, slider, integer, decimal, quantity, date, date-time, time, string,
            text, url, display, group. A boolean is radios with the values true and false.
        label: the item's text; prefix: the item's prefix.
        help: texts of help items below it, and of none else.
        hint: how to write the answer (entryFormat).
        value: what stands in the box, as it was typed where it is wrong.
        other: the other text of an open-choice; None if it takes none.
        date: day, month, year, time as typed.
        unit: label of the one unit there is. units: where there are several.
        lower, upper: labels of the ends of a slider. low, high, step, max_length: limits; empty for none.
        is_required: it has to be answered. is_hidden: enableWhen closes it by what stands on this page now.
        when: its enableWhen as far as questions of this page decide it, for the script: `[any?, [[linkId,
            operator, value], ...]]` as JSON; empty if it is always enabled here.
        error: what is wrong with what was sent.
        support_link: url with more about it. media: url of a picture.
        source: where a value that the chart filled in comes from, with its date; empty for none.
        is_warning: a text that answers open where a safety step may follow.
        is_read_only: shown, not asked.
        total: how the script works out what is shown, as JSON (see totals.py); empty if it is
            fixed here.
        children: items below it, in order.
    """

    id: str
    link_id: str
    kind: str
    label: str
    prefix: str = ""
    help: tuple[str, ...] = ()
    hint: str = ""
    choices: tuple[Choice, ...] = ()
    value: str = ""
    other: str | None = None
    date: tuple[str, str, str, str] = ("", "", "", "")
    unit: str = ""
    units: tuple[Choice, ...] = ()
    lower: str = ""
    upper: str = ""
    low: str = ""
    high: str = ""
    step: str = ""
    max_length: str = ""
    is_required: bool = False
    is_hidden: bool = False
    when: str = ""
    error: str = ""
    support_link: str = ""
    media: str = ""
    source: str = ""
    is_warning: bool = False
    is_read_only: bool = False
    total: str = ""
    children: tuple[Field, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """A line of the error summary: the id of the field that it links to, and what to do.

    Args:
        is_technical: it is for whoever helps, in English and in the words of FHIR.
    """

    field: str
    text: str
    is_technical: bool = False


class Frame(msgspec.Struct, frozen=True):
    """What every page of a form has around its content.

    Args:
        title: of the form, for people. language: of the page (BCP 47).
        languages: the other languages that the form has: tag and own name.
        action: where the form is posted to. state: what was answered so far, signed.
        assets: urls of static files by name, such as `form.css`; they change when their content does.
        parent: origin of the page that shows this one in a frame; empty if none does.
        part: only what changes between pages is wanted: the script has the rest.
        emergency: telephone number in an emergency; empty if the settings name none.
    """

    title: str
    language: str
    action: str
    state: str
    languages: tuple[tuple[str, str], ...] = ()
    assets: Mapping[str, str] | None = None
    parent: str = ""
    part: bool = False
    emergency: str = ""


class QuestionPage(msgspec.Struct, frozen=True):
    """A page of questions (template question.html).

    Args:
        name: of the page, linkId of its first item: the hidden control `page`.
        heading: its group's text; empty if it has one question, whose label then is the heading.
        number, last: its place among the pages that there are by now: a progress of number/last.
        problems: the error summary.
        has_back: whether there is a page before it.
        intro: whether this is the first page, which also offers the languages and to go on with a saved file.
        compares: whether answers can be compared with those of an earlier response. compared: the day of the
            one that they are compared with; empty for none.
        as_of: that answers of another day are asked for again, in words; empty where there are none.
        to_check: whether Continue leads back to the check page (a question was changed from there).
        left: at most how many questions are still asked in a short form; 0 in the full one, and where
            nobody can tell yet.
        other_length: the other length in which the form can be had, short or full; empty if it is not
            said.
    """

    frame: Frame
    name: str
    heading: str
    fields: Sequence[Field]
    number: int
    last: int
    problems: tuple[Problem, ...] = ()
    has_back: bool = False
    intro: bool = False
    compares: bool = False
    compared: str = ""
    as_of: str = ""
    to_check: bool = False
    left: int = 0
    other_length: str = ""


class Row(msgspec.Struct, frozen=True):
    """One question of the check page, its answers in words, and the page on which to change them.

    What is shown and not asked has no such page.
    """

    question: str
    answers: tuple[str, ...]
    page: str
    field: str
    source: str = ""


class CheckPage(msgspec.Struct, frozen=True):
    """Check your answers (template check.html): rows by page heading.

    Args:
        consent: what people agree to where answers can be stored; empty if they are not asked.
        notice: where more about that stands; empty for nowhere.
        unasked: the questions that a short form has not asked.
        as_of: that answers of another day are asked for again, in words; empty where there are none.
    """

    frame: Frame
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    problems: tuple[Problem, ...] = ()
    consent: str = ""
    notice: str = ""
    unasked: tuple[str, ...] = ()
    as_of: str = ""


class MessagePage(msgspec.Struct, frozen=True):
    """A page that only says something (template message.html).

    Args:
        name: what happened: old, refused, other-version, not-found, not-shown, too-large, file, embedding,
            failed, deleted. Its words are form.message.<name>.heading and form.message.<name>.text.
    """

    frame: Frame
    name: str
