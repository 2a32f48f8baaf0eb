"""The result of a form: what to do, by when and why, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

from service.assess import Scored
from service.catalogue import Pair
from service.fhir.json import Json
from service.pages.model import Frame
from service.pages.templates import render
from service.results import Numbers


class ResultPage:
    """Writes the result pages of one guidance in one language."""

    def __init__(self, pair: Pair, numbers: Numbers) -> None:
        self._pair = pair
        self._numbers = numbers

    def html(
        self, scored: Scored, response: Json, frame: Frame, *, pages: Mapping[str, str], kept: str = ""
    ) -> str:
        """Returns the page.

        Args:
            scored: the response as it was scored.
            response: the same as a resource.
            frame: what stands around it.
            pages: name of the page of each question, by linkId.
            kept: id of the record that was stored; empty where nothing was.
        """
        result = scored.assessment().result
        kind = "emergency" if result.tiers[result.tier.at_least].overlay else "result"
        text = self._pair.renderer.patient.text(scored.assessment())
        return render(
            "result.html", frame.language, frame=frame, kind=kind, status=response["status"], text=text
        )
