"""Write the tables of docs/safety.md anew from docs/mutation.json: part of `make docs`.

python -m mutation.page
"""

from __future__ import annotations

from mutation.figures import Figures, committed, fingerprint, score
from mutation.modules import ROOT, part_of
from mutation.survivors import line, why

PAGE = ROOT / "docs" / "safety.md"
_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def render(text: str, figures: Figures) -> str:
    """Return the page's text with the tables between its two marks replaced."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{_scores(figures)}\n\n{_survivors(figures)}\n\n{_END}{after}"


def _scores(figures: Figures) -> str:
    lines = ["| part | module | mutants | noticed | of them endless | survived | score | |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    total = {"mutants": 0, "killed": 0, "timeout": 0}
    for name, one in figures.items():
        for key in total:
            total[key] += one[key]
        same = one["source"] == fingerprint(name)
        lines.append(
            f"| {part_of(name)} | `{name}.py` | {_row(one)} "
            f"| {'' if same else 'its text has changed since'} |"
        )
    lines.append(f"| **all** | | {_row(total)} | |")
    return "\n".join(lines)


def _row(one: dict[str, int]) -> str:
    noticed = one["killed"] + one["timeout"]
    survived = one["mutants"] - noticed
    return f"{one['mutants']} | {noticed} | {one['timeout']} | {survived} | {score(one):.1f} %"


def _survivors(figures: Figures) -> str:
    lines = ["| in | the line becomes | and nobody notices because |", "| --- | --- | --- |"]
    for name, one in figures.items():
        for mutant in one["survivors"]:
            text = line(mutant).replace("|", "\\|")
            lines.append(f"| `{name}.{mutant['function']}` | `{text}` | {why(name, mutant)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(), committed()))
    print(f"written: {PAGE}")
