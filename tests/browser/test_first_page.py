"""What the measurement of a first page counts in a trace."""

import pytest

from benchmarks.first_page import tasks

URL = "http://127.0.0.1:8000/form"


def event(name: str, ts: int, dur: int, *, pid: int = 1, url: str = "") -> dict[str, object]:
    args = {"beginData": {"url": url}} if url else {}
    return {
        "name": name,
        "ph": "X",
        "pid": pid,
        "tid": 1,
        "ts": ts,
        "dur": dur,
        "tdur": dur // 2,
        "args": args,
    }


def task(ts: int, dur: int, holds: str, *, pid: int = 1, url: str = "") -> list[dict[str, object]]:
    return [
        event("ThreadControllerImpl::RunTask", ts, dur, pid=pid),
        event(holds, ts + 1, dur - 2, pid=pid, url=url),
    ]


def test_the_longest_task_of_each_step_counts_with_its_processor_time_in_the_thread_of_the_page() -> None:
    other = [
        *task(0, 90_000, "LocalFrameView::performLayout", pid=2),
        *task(95_000, 100, "ParseHTML", pid=2, url="chrome://newtab/"),
    ]
    own = [
        *task(0, 30_000, "DocumentLoader::CommitNavigation"),
        *task(40_000, 10_000, "ParseHTML", url=URL),
        *task(60_000, 8_000, "LocalFrameView::performLayout"),
        *task(80_000, 20_000, "LocalFrameView::performLayout"),
    ]
    assert tasks([*other, *own], URL) == pytest.approx({"begins": 15, "lays out": 10, "runs scripts": 0})


def test_a_page_that_is_not_in_the_trace_has_no_tasks() -> None:
    assert set(tasks(task(0, 10_000, "ParseHTML", url="http://127.0.0.1/other"), URL).values()) == {0}
