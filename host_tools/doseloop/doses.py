"""Doses by weight, body surface and concentration, turned into volumes and rates, exactly.

Order files come here with every rate and volume of a step. The pump never sees a dose: it gets
whole aL and aL/h. How doses are written: `dose_units.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from doseloop import quantities
from doseloop.dose_units import AL_PER_ML, UNITS, Quantity, is_plain, parse, refusal, show
from doseloop.errors import UsageError
from doseloop.strict import Key, Reader, key_text

_AL_PER_NL = 10**9

# What to add to [drug] for a dose that counts …
_NEEDED = {
    "weight": 'weight = "… kg"',
    "surface": 'surface = "… m2"',
    "mass": 'concentration = "… mg/mL"',
    "units": 'concentration = "… units/mL"',
    "mmol": 'concentration = "… mmol/mL"',
    "mEq": 'concentration = "… mEq/mL"',
}


def _drug_reader(kind: str) -> Reader:
    return lambda _key, text: parse(text, kind)


# How `TomlFile.table` reads [drug].
DRUG_READERS = {kind: _drug_reader(kind) for kind in ("concentration", "weight", "surface")}


@dataclass(frozen=True)
class Ordered:
    """A dose as it was ordered, what it was reckoned with, and the whole aL or aL/h it became."""

    where: str
    kind: str
    text: str
    basis: tuple[str, ...]
    value: int
    exact: bool

    @property
    def gives(self) -> str:
        """The volume or rate that is pumped, as a quantity text."""
        return quantities.show(self.value, self.kind)

    @property
    def said(self) -> str:
        """Both, for people: exact, or to the nL below and marked so."""
        al = self.value // _AL_PER_NL * _AL_PER_NL
        sign = "=" if self.exact and al == self.value else "≈"
        basis = f" ({', '.join(self.basis)})"
        return f"{self.where}: {self.text}{basis} {sign} {quantities.show(al, self.kind)}"

    def as_json(self) -> dict[str, object]:
        """Return it for `--json`."""
        unit = "rate_al_per_h" if self.kind == "rate" else "volume_al"
        return {
            "where": self.where,
            "ordered": self.text,
            "basis": list(self.basis),
            "gives": self.gives,
            unit: self.value,
        }


class Doses:
    """Reads the rates and volumes of one order's steps; `ordered` holds those that were doses."""

    def __init__(
        self,
        concentration: Quantity | None = None,
        weight: Quantity | None = None,
        surface: Quantity | None = None,
    ) -> None:
        """Take what the order's [drug] says, None where it says nothing."""
        self._drug = {"concentration": concentration, "weight": weight, "surface": surface}
        self.ordered: list[Ordered] = []

    @property
    def readers(self) -> dict[str, Reader]:
        """How `TomlFile.table` reads the kinds of quantity that may be doses."""
        return {
            "rate": lambda key, text: self.read(key, text, "rate"),
            "volume": lambda key, text: self.read(key, text, "volume"),
        }

    def read(self, key: Key, text: object, kind: str) -> int:
        """Return a rate in aL/h or a volume in aL, given as such or as a dose."""
        name = text.partition(" ")[2] if isinstance(text, str) else ""
        if not isinstance(text, str) or is_plain(name, kind):
            return quantities.parse(text, kind)
        if name not in UNITS[kind]:
            error = refusal(text, kind)
            if error is not None:
                raise error
            return quantities.parse(text, kind)  # which refuses it
        dose = parse(text, kind)
        exact = self.exact(dose)
        value = floor(exact)
        where, basis = key_text(key), tuple(show(given) for given in self._basis(dose).values())
        self.ordered.append(Ordered(where, kind, show(dose), basis, value, exact == value))
        return value

    def exact(self, dose: Quantity) -> Fraction:
        """Return a dose in aL or aL/h, before the floor to whole ones.

        The floor takes less than 1 aL/h, which is 10^-15 mL/h: in 30 days less than 720 aL, while
        the smallest microstep of any board and syringe holds millions. It never takes a step from
        a volume: al_per_step is whole, so floor(floor(V) / al_per_step) = floor(V / al_per_step).
        Raises `UsageError` (E_DOSE) where [drug] lacks what the dose needs, or counts otherwise.
        """
        basis, counts = self._basis(dose), dose.unit.counts
        value = dose.value
        if dose.unit.body:
            value *= basis[dose.unit.body].value
        if counts != "volume":
            strength = basis["concentration"]
            other = strength.unit.counts
            if other != counts:
                raise UsageError(
                    f"'{show(dose)}' counts {counts}, the concentration '{show(strength)}' counts "
                    f"{other}: neither is converted to the other",
                    code="E_DOSE",
                    next=f"give both as {counts} or both as {other}",
                )
            value = value / strength.value * AL_PER_ML
        if 0 < value < 1:
            raise UsageError(
                f"'{show(dose)}' is less than the pump can count", code="E_DOSE", next="order more"
            )
        return value

    def _basis(self, dose: Quantity) -> dict[str, Quantity]:
        """Return the keys of [drug] that a dose is reckoned with; E_DOSE where any is missing."""
        needs = {dose.unit.body: dose.unit.body} if dose.unit.body else {}
        if dose.unit.counts != "volume":
            needs["concentration"] = dose.unit.counts
        missing = [name for name in needs if self._drug[name] is None]
        if missing:
            raise UsageError(
                f"'{show(dose)}' needs the {' and the '.join(missing)} in [drug]",
                code="E_DOSE",
                next=f"add to [drug]: {', '.join(_NEEDED[needs[name]] for name in missing)}",
            )
        return {name: given for name in needs if (given := self._drug[name]) is not None}
