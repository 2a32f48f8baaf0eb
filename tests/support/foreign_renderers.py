"""A person in front of a renderer: answers the questions in order, by mouse and keyboard, and exports."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

from playwright.sync_api import Locator, Page

Json = dict[str, Any]
Fill = Callable[[Json, list[Any]], None]

GAP_MS = 350
"""Between two actions: Smart Forms takes over what is typed after 300 ms, and loses what comes faster."""
LETTER_MS = 40
"""Between two letters: LHC-Forms drops letters that come faster into a list."""


class Renderer:
    """One form in one tab; a subclass knows where its renderer puts things.

    Args:
        page: the tab. address: where the renderers are served.
    """

    name = ""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._url = f"{address}/{self.name}/index.html?questionnaire=/questionnaire.json"
        self._fill: dict[str, Fill] = {
            "choice": self._choose,
            "integer": self._type_number,
            "decimal": self._type_number,
            "quantity": self._type_quantity,
            "date": self._type_date,
            "text": self._type_text,
        }

    def open(self, response: str = "") -> None:
        """Shows the form, filled in with the response of this address."""
        self.page.goto(self._url + (f"&response={response}" if response else ""))
        self.page.locator("html[data-ready=true]").wait_for()

    def answer(self, item: Json, answers: list[Json]) -> None:
        """Answers one question, which must be in sight by now."""
        values = [value for answer in answers for value in answer.values()]
        self.page.wait_for_timeout(GAP_MS)
        self._fill[item["type"]](item, values)

    def problems(self) -> list[Any]:
        """Returns the faults that the form finds with what is in it."""
        found = self.page.evaluate("() => window.renderer.problems()")
        assert isinstance(found, list)
        return found

    def response(self) -> Json:
        """Exports the response."""
        self.page.keyboard.press("Tab")
        self.page.wait_for_timeout(GAP_MS)
        found = json.loads(self.page.evaluate("() => JSON.stringify(window.renderer.response())"))
        assert isinstance(found, dict)
        return found

    def question(self, link_id: str) -> Locator:
        """Returns where a question stands."""
        raise NotImplementedError

    def _choose(self, item: Json, codings: list[Json]) -> None:
        for coding in codings:
            option = self.question(item["linkId"]).locator("label:has(input)", has=self._exactly(coding))
            option.click()
            self.page.wait_for_timeout(GAP_MS)

    def _exactly(self, coding: Json) -> Locator:
        return self.page.get_by_text(coding["display"], exact=True)

    def _type(self, box: Locator, text: str) -> None:
        box.click()
        box.press_sequentially(text, delay=LETTER_MS)
        self.page.wait_for_timeout(GAP_MS)

    def _type_number(self, item: Json, values: list[Any]) -> None:
        self._type(self.question(item["linkId"]).locator("input[type=text]").first, str(values[0]))

    def _type_quantity(self, item: Json, values: list[Any]) -> None:
        raise NotImplementedError

    def _type_date(self, item: Json, values: list[Any]) -> None:
        raise NotImplementedError

    def _type_text(self, item: Json, values: list[Any]) -> None:
        self._type(self.question(item["linkId"]).locator("textarea").first, values[0])


class LhcForms(Renderer):
    """LHC-Forms: all questions on one page."""

    name = "lhc-forms"

    def question(self, link_id: str) -> Locator:
        return self.page.locator(f'[id="item-{link_id}/1/1"] lhc-item-question').first

    def _type_quantity(self, item: Json, values: list[Any]) -> None:
        self._type_number(item, [values[0]["value"]])
        unit = self.question(item["linkId"]).locator("lhc-unit input")
        if unit.input_value() != values[0]["unit"]:  # the only one there is stands there already
            unit.click()
            self.page.locator("#completionOptions li", has_text=values[0]["unit"]).click()

    def _type_date(self, item: Json, values: list[Any]) -> None:
        box = self.question(item["linkId"]).locator("nz-date-picker input")
        self._type(box, date.fromisoformat(values[0]).strftime("%m/%d/%Y"))  # it takes no other order
        box.press("Enter")


class SmartForms(Renderer):
    """Smart Forms: one group of questions on a page."""

    name = "smart-forms"

    def question(self, link_id: str) -> Locator:
        return self.page.locator(f'[data-linkid="{link_id}"]').first

    def answer(self, item: Json, answers: list[Json]) -> None:
        while not self.question(item["linkId"]).is_visible():
            self.page.get_by_role("button", name="Next page").click()
            self.page.wait_for_timeout(GAP_MS)
        super().answer(item, answers)

    def _type_number(self, item: Json, values: list[Any]) -> None:
        slider = self.question(item["linkId"]).locator("input[type=range]")
        if slider.count() == 0:
            super()._type_number(item, values)
            return
        slider.focus()
        # It stands at its lowest number and has no answer before it was moved: 0 takes a step there and back.
        for key in ["ArrowRight"] * int(values[0]) or ["ArrowRight", "ArrowLeft"]:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(GAP_MS)

    def _type_quantity(self, item: Json, values: list[Any]) -> None:
        question = self.question(item["linkId"])
        self._type(question.locator("[data-test=q-item-quantity-field] input"), str(values[0]["value"]))
        unit = question.locator("[data-test=q-item-unit-field] input")
        if unit.count():
            unit.click()
            self.page.get_by_role("option", name=values[0]["unit"], exact=True).click()

    def _type_date(self, item: Json, values: list[Any]) -> None:
        box = self.question(item["linkId"]).locator("[data-test=date] input")
        self._type(box, date.fromisoformat(values[0]).strftime("%d/%m/%Y"))
