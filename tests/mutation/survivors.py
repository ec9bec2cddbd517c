"""A word for each mutant that the tests of the dose core don't notice: why that may stay so.

The key names the module, the function and the line as the mutant has it, because mutmut's own
numbers change with every edit. `python -m mutation` prints what needs a word here.
"""

from __future__ import annotations

from typing import Any

WORDS = {
    ("arith", "isqrt", "x = 2"): "Newton's steps fall to the same root from any start above it",
    ("arith", "isqrt", "x <<= 2"): "the same; a few steps more",
}


def why(name: str, mutant: dict[str, Any]) -> str:
    """Return the word for a survivor, "" when there is none."""
    return WORDS.get((name, mutant["function"], mutant["after"]), "")
