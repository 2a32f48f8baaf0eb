"""The tables of a page of the documentation."""

import re


def rows(text: str, columns: int) -> list[tuple[str, ...]]:
    """Returns the cells of each row whose first cell is code, without the code's own marks."""
    found = re.findall(r"^\| (`.*) \|$", text, re.MULTILINE)
    cells = [tuple(cell.strip() for cell in re.split(r" ?(?<!\\)\| ?", line)) for line in found]
    return [tuple(cell.strip("`") for cell in row) for row in cells if len(row) == columns]
