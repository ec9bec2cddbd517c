"""The dose core is tested to its last branch, and docs/safety.md says how well, as measured."""

from mutation import covered, figures, page, survivors
from mutation.modules import MODULES


def test_every_branch_of_the_dose_core_is_taken_by_a_worked_case():
    found = covered.measure()
    assert set(found) == set(MODULES)
    assert {name: covered.missing(one) for name, one in found.items()} == {
        name: [] for name in MODULES
    }


def test_the_page_shows_the_committed_figures():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.render(text, figures.committed()) == text, "make docs"


def test_a_wrong_line_is_noticed():
    measured = figures.committed()
    assert measured, "make mutation"
    for name, one in measured.items():
        assert figures.score(one) > 90, name
        assert one["mutants"] == one["killed"] + one["timeout"] + len(one["survivors"])


def test_every_survivor_has_its_word_and_no_word_is_left_over():
    wanted = set()
    for name, one in figures.committed().items():
        for mutant in one["survivors"]:
            assert survivors.why(name, mutant), (name, mutant)
            wanted.add((name, mutant["function"], survivors.line(mutant)))
    spoken = {key for key in survivors.WORDS if key[0] in figures.committed()}
    assert spoken <= wanted
