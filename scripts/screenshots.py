"""Takes the pictures of the form: every kind of page and language, on a phone, a tablet, a desk and paper.

    .venv/bin/python -m scripts.screenshots [FOLDER]

FOLDER is `build/screenshots` unless named. What README shows is put into `docs/images` as well.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

from benchmarks.chromium import launched
from benchmarks.http import SERVICE, serving
from service.settings import ROOT
from tests.support.form_by_clicking import Form
from tests.support.worked_cases import cases_of

FORM = "muscle-twitching"
WIDTHS = {320: 640, 768: 1024, 1280: 800}
PAPER = {"width": 718, "height": 1046}
"""A page of A4 within its margins."""
LANGUAGES = ("en", "de")
README = ("question", "result")
"""Scenes that README shows, as the first screen of a phone shows them."""
CALM, SERIOUS = "body-wide-for-months", "new-confusion-is-an-emergency"


def question(form: Form) -> None:
    """Answers the questions of a page, which is not sent yet."""
    for name in form.walk(cases_of(FORM)[CALM].answers):
        if name == "strength":
            return


def error(form: Form) -> None:
    """Goes on without an answer."""
    form.press("next")


def check(form: Form) -> None:
    """Answers everything, and sends nothing yet."""
    for _ in form.walk(cases_of(FORM)[CALM].answers):
        pass


def emergency(form: Form) -> None:
    """Ticks an emergency sign."""
    form.finish(cases_of(FORM)[SERIOUS].answers)


def result(form: Form) -> None:
    """Answers everything and sends it."""
    form.finish(cases_of(FORM)[CALM].answers)


def clinician(form: Form) -> None:
    """Opens what the doctor reads."""
    form.finish(cases_of(FORM)[CALM].answers)
    form.unfold("risk.json")


def why(form: Form) -> None:
    """Asks why."""
    form.finish(cases_of(FORM)[CALM].answers)
    form.press("why")


SCENES: dict[str, Callable[[Form], None]] = {
    each.__name__: each for each in (question, error, check, emergency, result, clinician, why)
}


def taken(browser: Browser, url: str, folder: Path) -> None:
    """Takes every scene in every language and width, and what README shows."""
    for language, (name, scene) in itertools.product(LANGUAGES, SCENES.items()):
        page = browser.new_page(locale=language, viewport={"width": 320, "height": 640})
        scene(Form(page, url).open())
        for width, height in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": height})
            picture(page, folder / f"{name}-{language}-{width}.png")
        if name in ("result", "why"):
            page.set_viewport_size(PAPER)
            page.emulate_media(media="print")
            picture(page, folder / f"{name}-{language}-paper.png")
            page.emulate_media(media="screen")
        if name in README and language == "en":
            page.set_viewport_size({"width": 390, "height": 780})
            picture(page, ROOT / f"docs/images/{name}.png", whole=False)
        page.close()


def picture(page: Page, path: Path, *, whole: bool = True) -> None:
    """Takes the whole page from its top, or its first screen."""
    page.evaluate("() => scrollTo(0, 0)")
    page.screenshot(path=path, full_page=whole)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB")


def main() -> None:
    """Runs the service and takes the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["SERVICE_EMERGENCY_NUMBER"] = "112"
    with serving(SERVICE) as server, launched() as browser:
        taken(browser, f"http://127.0.0.1:{server.port}/questionnaires/{FORM}", folder)


if __name__ == "__main__":
    main()
