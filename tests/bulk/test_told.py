"""What a run tells: how far it is, and what came out."""

import io
import re
from xml.etree import ElementTree as ET

import pytest

from service.bulk.progress import Progress, duration
from service.bulk.report import OfGuidance, Report, Step, svg_of, text_of

SVG = "{http://www.w3.org/2000/svg}"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(out, size, tells, done=0):
    """Returns what a run tells whose clock goes on ten seconds each time."""
    now = [0.0]
    progress = Progress(out, size, done, clock=lambda: now[0])
    for position, lines in tells:
        now[0] += 10
        progress.tell(position, lines)
    progress.end(tells[-1][1])
    return out.getvalue()


def test_a_pipe_gets_a_line_with_rate_and_time_left():
    lines = told(io.StringIO(), 1000, [(100, 500), (300, 1500)]).splitlines()
    assert lines == [
        " 10% 500 lines, 50 lines/s, 1 min 30 s left",
        " 30% 1,500 lines, 75 lines/s, 47 s left",
        "1,500 lines in 20 s, 75 lines/s",
    ]


def test_a_pipe_gets_no_line_before_it_is_time():
    out = io.StringIO()
    progress = Progress(out, 1000, clock=lambda: 5.0)
    progress.tell(10, 1)
    assert out.getvalue() == ""


def test_a_run_goes_on_where_nobody_reads_what_it_tells():
    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    told(Closed(), 1000, [(100, 500)])


def test_a_terminal_shows_a_bar_in_one_line():
    shown = told(Terminal(), 1000, [(500, 500)])
    assert re.match(r"\r\[#{12}\.{12}\]  50% 500 lines, 50 lines/s, 10 s left\x1b\[K", shown)
    assert "\n" not in shown.rstrip("\n")


def test_the_rate_is_that_of_the_last_half_minute_and_of_this_run():
    tells = [(1000 + 10 * place, 10 * place) for place in range(1, 6)] + [(1100, 450)]
    last = told(io.StringIO(), 2000, tells, done=1000).splitlines()[-2]
    assert last == " 55% 450 lines, 14 lines/s, 6 min 26 s left"


def test_without_a_size_nothing_is_said_of_what_is_left():
    assert told(io.StringIO(), None, [(500, 500)]).splitlines()[0] == "500 lines, 50 lines/s"


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (65, "1 min 5 s"), (7260, "2 h 1 min")])
def test_a_time_is_said_in_words(seconds, said):
    assert duration(seconds) == said


FOUND = Report(
    1000,
    600,
    300,
    100,
    (("json", 70), ("answer-type", 40)),
    (
        OfGuidance("Pain & more", "http://x/pain|1", (Step("Now <!>", 100, 0), Step("Later", 500, 300))),
        OfGuidance("Other", "http://x/other|2", (Step("All", 0, 0),)),
    ),
)


def test_the_report_says_shares_of_all_records():
    text = text_of(FOUND)
    assert "   60.0%  final" in text
    assert "   10.0%  refused" in text
    assert "Pain & more (http://x/pain|1): 900 of 1,000 records" in text
    assert re.search(r"^  Later +500 +50\.0% +300 +30\.0%$", text, re.MULTILINE)
    assert text.splitlines()[-2:] == ["     70  json", "     40  answer-type"]


def test_a_report_of_nothing_has_no_shares():
    assert "%" not in text_of(Report(0, 0, 0, 0, (), ()))


def test_the_histogram_says_everything_as_text_too():
    picture = ET.fromstring(svg_of(FOUND))
    assert picture.get("role") == "img"
    named = picture.get("aria-labelledby").split()
    texts = {found.get("id"): found.text for found in picture.iter() if found.get("id") in named}
    assert list(texts) == named
    assert texts["title"] == "Steps that 1,000 records reach"
    assert (
        "100 were refused. Pain & more: Now <!>: 100. Later: 500 + 300 preliminary." in texts["description"]
    )
    assert "Later" in [found.text for found in picture.iter(f"{SVG}text")]


def test_the_bars_are_as_long_as_their_numbers_and_told_apart_without_colour():
    picture = ET.fromstring(svg_of(FOUND))
    bars = [found for found in picture.iter(f"{SVG}rect") if found.get("height") == "18"]
    widths = [(found.get("class"), float(found.get("width"))) for found in bars]
    assert widths == [("final", 70.0), ("final", 350.0), ("preliminary", 210.0), ("refused", 70.0)]
    assert {found.get("fill") for found in bars if found.get("class") == "preliminary"} == {
        "url(#preliminary)"
    }
    assert float(bars[2].get("x")) == float(bars[1].get("x")) + 350.0


def test_a_histogram_of_nothing_is_a_picture_too():
    assert ET.fromstring(svg_of(Report(0, 0, 0, 0, (), ()))).tag == f"{SVG}svg"
