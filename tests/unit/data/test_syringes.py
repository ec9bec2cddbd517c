"""The syringe library: enough of them, each number with a source, none impossible."""

from fractions import Fraction

import pytest

from doseloop import resources, syringes
from doseloop.errors import FileError, UsageError

LIBRARY = syringes.load_syringes()
PATH = resources.boards_root() / "syringes.toml"


def test_the_makers_and_sizes_that_were_promised():
    assert len(LIBRARY) >= 20
    makers = {syringe.maker for syringe in LIBRARY.values()}
    assert makers == {"Becton Dickinson", "B. Braun", "Terumo", "Monoject", "Hamilton"}
    sizes = {syringe.capacity_al for syringe in LIBRARY.values()}
    assert min(sizes) == 10**15
    assert max(sizes) == 60 * 10**15


@pytest.mark.parametrize("syringe", LIBRARY.values(), ids=lambda syringe: syringe.model)
def test_every_number_has_a_source_and_the_travel_is_that_of_a_syringe(syringe):
    assert {number for number, _ in syringe.sources} >= {"diameter", "capacity"}
    area_nm2 = Fraction(314159, 400000) * syringe.diameter_nm**2
    travel_mm = syringe.capacity_al * 10**6 / area_nm2 / 10**6
    assert 20 <= travel_mm <= 130


def test_unknown_model_names_close_ones():
    with pytest.raises(UsageError, match="bd-plastipak-50") as caught:
        syringes.find_syringe("bd-plastipack-50")
    assert caught.value.code == "E_SYRINGE"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('diameter_source = "ne1000"\n', "", "diameter_source: missing"),
        ('diameter_source = "ne1000"', 'diameter_source = "hearsay"', "is not a source"),
        ('diameter = "4.699 mm"', 'diameter = "4.699"', "unit missing"),
        ("[syringe.bd-plastipak-1]", "[syringe.BD_1]", "small letters, digits and dashes"),
        ('capacity = "1 mL"', 'capacity = "1 mL"\nstroke = "60 mm"', "go together"),
        ('capacity = "1 mL"', 'capacity = "1 mL"\ncolour = "blue"', "unknown key"),
    ],
)
def test_no_source_no_row(tmp_path, old, new, message):
    path = tmp_path / "syringes.toml"
    path.write_text(PATH.read_text().replace(old, new, 1))
    with pytest.raises(FileError, match=message):
        syringes.load_syringes(path)
