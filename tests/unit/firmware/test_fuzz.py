"""A short run of tests/fuzz: the corpus, and changes of it from a fixed seed."""

import pytest
from fuzz import feed, targets

COUNT = {"frame": 3_000, "text": 3_000, "typed": 3_000, "order": 1_000, "config": 1_000,
         "library": 1_000, "line": 600}  # fmt: skip


@pytest.mark.requirement("J1", "J5")
@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_no_input_breaks_it(name):
    inputs = feed.corpus(name) or targets.seeds()[name]
    for data in inputs:
        targets.TARGETS[name](data)
    for data in feed.changed(inputs, COUNT[name], 1):
        try:
            targets.TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name}: {data!r}") from error


def test_good_input_is_taken():
    for name, inputs in targets.seeds().items():
        assert set(inputs) <= set(feed.corpus(name)), "the corpus begins with what is good"
