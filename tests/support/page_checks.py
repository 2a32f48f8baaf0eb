"""What every page is held to while a test walks through it: axe-core, room for a narrow screen, targets."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

# The rules of WCAG 2.0 to 2.2, levels A and AA, and what axe-core calls best practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FINGER, POINTER = 44, 24
"""The least size of a target in CSS pixels: of a control, and of a link inside a text."""

_RUN = """axe.run(document, {runOnly: {type: "tag", values: %s}, resultTypes: ["violations"]}).then(found =>
  found.violations.flatMap(rule => rule.nodes.map(node =>
    `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`)))"""

# All that axe-core's verdict depends on; the state of the form looks different each time.
_LOOK = """() => document.documentElement.outerHTML.replace(/ name="state" value="[^"]*"/, "")
  + [innerWidth, innerHeight, matchMedia("(prefers-color-scheme: dark)").matches]"""

_GEOMETRY = """([finger, pointer]) => {
  const found = [], root = document.scrollingElement;
  const seen = element => element.checkVisibility({opacityProperty: false, visibilityProperty: true});
  const named = element => element.outerHTML.slice(0, 120);
  if (root.scrollWidth > root.clientWidth) {
    found.push(`scrolls sideways: ${root.scrollWidth} px in ${root.clientWidth} px`);
    for (const element of document.body.querySelectorAll("*"))
      if (element.getBoundingClientRect().right > root.clientWidth + 1)
        found.push(`too wide: ${named(element)}`);
  }
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  for (const element of document.querySelectorAll(controls)) {
    if (!seen(element)) continue;
    const boxes = [element, ...(element.labels || [])].map(each => each.getBoundingClientRect());
    const width = Math.max(...boxes.map(box => box.right)) - Math.min(...boxes.map(box => box.left));
    const height = Math.max(...boxes.map(box => box.height));
    if (height <= 1 || width <= 1) continue;  // it is for programs that read aloud, until it has the focus
    const text = each => each.innerText.trim();
    const inline = element.matches("a") && text(element.parentElement) !== text(element);
    const least = inline ? pointer : finger;
    if (height < least - 0.5 || width < least - 0.5)
      found.push(`target of ${Math.round(width)} x ${Math.round(height)} px: ${named(element)}`);
  }
  return found;
}"""


class Axe:
    """axe-core, in a world of its own beside the page: the page's policy stays as it is.

    It needs a context with script: without, no timer ends in any world, and it would wait for ever.

    Args:
        path: axe.min.js.
    """

    def __init__(self, path: Path) -> None:
        self._source = path.read_text(encoding="utf-8")
        self._met: set[str] = set()

    def new_problems(self, page: Page) -> list[str]:
        """Returns the problems of a page as it has not met one yet: many people pass the same page."""
        look = page.evaluate(_LOOK)
        if look in self._met:
            return []
        self._met.add(look)
        return self.problems(page)

    def problems(self, page: Page) -> list[str]:
        """Returns a line for each element of the page that breaks a rule."""
        session = page.context.new_cdp_session(page)
        try:
            frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
            world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})
            place = {"contextId": world["executionContextId"]}
            session.send("Runtime.evaluate", {"expression": self._source + "; 0", **place})
            asked = {"expression": _RUN % TAGS, "awaitPromise": True, "returnByValue": True, **place}
            return _value(session.send("Runtime.evaluate", asked))
        finally:
            session.detach()


def _value(answer: dict[str, Any]) -> list[str]:
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    found: list[str] = answer["result"]["value"]
    return found


def geometry(page: Page) -> list[str]:
    """Returns a line for whatever is wider than the window, and for each target that is too small."""
    found: list[str] = page.evaluate(_GEOMETRY, [FINGER, POINTER])
    return found
