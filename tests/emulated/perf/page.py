"""Write the tables of docs/performance.md anew from docs/performance.json: part of `make docs`.

python -m emulated.perf.page
"""

from __future__ import annotations

import json
from pathlib import Path

from emulated.perf import table

DOCS = Path(__file__).resolve().parents[3] / "docs"
FIGURES = DOCS / "performance.json"
PAGE = DOCS / "performance.md"
_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def committed() -> table.Figures:
    """Return the figures of the repository."""
    return json.loads(FIGURES.read_text())


def render(text: str, figures: table.Figures) -> str:
    """Return the page's text with the tables between its two marks replaced."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table.page(figures)}\n\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(), committed()))
    print(f"written: {PAGE}")
