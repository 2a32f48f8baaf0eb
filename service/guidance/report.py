"""How far the guidance covers its source: which statements are used, which are not and why."""

from __future__ import annotations

from dataclasses import dataclass

from service.guidance.model import Statement, Written


@dataclass(frozen=True, slots=True)
class Coverage:
    """Statements of the source that entries cite, and those that are listed with a reason why not."""

    used: tuple[Statement, ...]
    listed: tuple[Statement, ...]

    @property
    def line(self) -> str:
        """The report in one line."""
        accounted = len(self.used) + len(self.listed)
        return (
            f"{accounted} of {accounted} statements accounted for: "
            f"{len(self.used)} used, {len(self.listed)} listed with a reason"
        )


def coverage(written: Written) -> Coverage:
    """The coverage of a loaded guidance; loading has refused any statement that is neither or both."""
    statements = written.statements.values()
    return Coverage(
        used=tuple(each for each in statements if not each.unused),
        listed=tuple(each for each in statements if each.unused),
    )
