"""The requirements trace: what it reads from tests, what it refuses, and the committed page."""

from collections import Counter

import pytest
from requirements import page

TABLE = """
[groups]
A = "First"
B = "Second, and last"
[work]
next = "the next part"
[A1]
says = "a | b"
source = "GIP 1"
kind = "U"
code = ["docs/bench.md"]
[A2]
says = "weighed"
source = "IEC24"
kind = "H"
bench = "Weighing"
[B1]
says = "half of it"
source = "own"
kind = "U P"
later = "next"
lacks = "the other half"
[B2]
says = "nothing yet"
source = "own"
kind = "U"
later = "next"
[B3]
says = "no such thing here"
source = "own"
kind = "U"
not_applicable = "there is none"
"""
BENCH = "# On the bench\n\n## Weighing\n"
MODULE = """
import pytest

@pytest.mark.requirement("A1", "B1")
@pytest.mark.parametrize("n", [1])
def test_one_thing(n):
    pass

def test_another():
    pass
"""


def trace(table=TABLE, module=MODULE):
    return page.read_table(table), page.marks(module, "tests/unit/test_x.py")


def wrong(**changed):
    return list(page.wrong(*trace(**changed), BENCH))


def test_a_page_by_hand():
    table, shown = trace()
    assert [(each.id, each.test) for each in shown] == [
        ("A1", "test_one_thing"),
        ("B1", "test_one_thing"),
    ]
    assert wrong() == []
    text = page.render(table, shown).splitlines()
    assert "| [A. First](#a-first) | 1 |  | 1 |  |  | 2 |" in text
    assert "| [B. Second, and last](#b-second-and-last) |  | 1 |  | 1 | 1 | 3 |" in text
    assert "| all | 1 | 1 | 1 | 1 | 1 | 5 |" in text
    assert (
        "| **A1** | a \\| b<br><sub>GIP 1 · U</sub> | shown by test "
        "| [bench.md](../docs/bench.md) | [unit/test_x.py](../tests/unit/test_x.py): one thing |"
    ) in text
    assert "[bench procedure](bench.md#weighing)" in text[-9]
    assert "in part: the next part<br>lacks: the other half" in text[-3]
    assert "not yet: the next part" in text[-2] and "not applicable: there is none" in text[-1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('code = ["docs/bench.md"]', 'code = ["docs/no.md"]', "A1: there is no docs/no.md"),
        ('bench = "Weighing"', 'bench = "Washing"', "A2: docs/bench.md has no heading 'Washing'"),
        ('kind = "H"', 'kind = "S H"', "A2: no test shows it, and the table gives no reason"),
        ('bench = "Weighing"', "", "A2: no test shows it, and the table gives no reason"),
        ('lacks = "the other half"', "", "B1: tests show it, so say what it `lacks`, "),
        ('later = "next"\nlacks', "lacks", "B1: lacks something, but waits for nothing"),
        ('later = "next"\n[B3]', 'later = "never"\n[B3]', "B2: later = 'never' is no part of [wo"),
        ("[A1]", "[A9]", "tests/unit/test_x.py: test_one_thing shows A1, which no row of table"),
        ("[B2]", "[C2]", "C2: no group C"),
        (
            'later = "next"\nlacks = "the other half"',
            'not_applicable = "no"',
            "B1: not applicable",
        ),
    ],
)
def test_what_is_wrong_in_the_table_is_named(old, new, says):
    assert old in TABLE
    assert [line for line in wrong(table=TABLE.replace(old, new, 1)) if line.startswith(says)]


def test_a_requirement_whose_test_is_gone_is_named():
    assert "A1: no test shows it, and the table gives no reason" in wrong(module="")


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ('@pytest.mark.requirement("A1")\ndef helper():\n    pass\n', "decorates no test"),
        ('pytestmark = pytest.mark.requirement("A1")\n', "decorates no test"),
        ("@pytest.mark.requirement(*IDS)\ndef test_it():\n    pass\n", "write the ids out"),
    ],
)
def test_a_mark_that_says_nothing_is_refused(module, says):
    with pytest.raises(page.TraceError, match=says):
        page.marks(module, "tests/unit/test_x.py")


def test_a_constant_stands_for_marks_on_micropython():
    text = 'REQUIREMENTS = {"test_it": ("A1",)}\ndef test_it(folder):\n    pass\n'
    (shown,) = page.marks(text, "tests/micropython/case_x.py")
    assert (shown.id, shown.test) == ("A1", "test_it")
    with pytest.raises(page.TraceError, match="test_gone, which is no test there"):
        page.marks(text.replace("test_it", "test_gone", 1), "tests/micropython/case_x.py")
    assert page.marks(text, "tests/unit/test_x.py") == []


# -- the repository's own ------------------------------------------------------------------------


def test_the_table_has_every_requirement_once():
    rows = page.read_table(page.TABLE.read_text(encoding="utf-8")).rows
    numbers = Counter(row.id[0] for row in rows)
    assert list(numbers) == list("ABCDEFGHIJ")
    assert list(numbers.values()) == [18, 9, 23, 16, 16, 14, 13, 12, 9, 10]
    assert [row.id for row in rows] == [
        f"{group}{number}" for group in numbers for number in range(1, numbers[group] + 1)
    ]


def test_the_trace_holds_and_the_committed_page_shows_it():
    table = page.read_table(page.TABLE.read_text(encoding="utf-8"))
    shown = page.read_tests(page.ROOT)
    assert len(shown) > 100
    assert list(page.wrong(table, shown, page.BENCH.read_text(encoding="utf-8"))) == []
    assert page.PAGE.read_text(encoding="utf-8") == page.render(table, shown), "make docs"
