"""Read and write doses and what they are reckoned with: "2 mcg/kg/min", "1.6 mg/mL", "1.73 m2".

Host only: what they become in volume is `doses.py`; plain volumes are the firmware's grammar
(`quantities.py`), whose numbers are used here too. A dose has one spelling, the one on which the
lists of error-prone abbreviations agree (ISMP; Joint Commission, "Do Not Use" list): mcg, units,
mL, no naked point, no trailing zero. Anything else is refused with the spelling that was meant,
never read as something near.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from doseloop import quantities
from doseloop.errors import UsageError

AL_PER_ML = 10**15

# unit: (what it counts, how many of the smallest). Only the same kind of thing converts.
_AMOUNTS = {
    "ng": ("mass", 1),
    "mcg": ("mass", 10**3),
    "mg": ("mass", 10**6),
    "g": ("mass", 10**9),
    "milliunits": ("units", 1),
    "units": ("units", 1000),
    "mmol": ("mmol", 1),
    "mEq": ("mEq", 1),
    "mL": ("volume", AL_PER_ML),
}
_PER_HOUR = {"min": Fraction(60), "h": Fraction(1), "day": Fraction(1, 24)}
_PER_ML = {"mL": Fraction(1), "L": Fraction(1, 1000)}
_BODY = {"": "", "/kg": "weight", "/m2": "surface"}


@dataclass(frozen=True)
class Unit:
    """What a unit counts, and its size in the smallest unit of that (per hour, per mL).

    `body`: the key of [drug] that it is multiplied with, or "".
    """

    name: str
    counts: str
    factor: Fraction
    body: str = ""


def _units() -> dict[str, dict[str, Unit]]:
    weights = [Unit("kg", "kg", Fraction(1)), Unit("g", "kg", Fraction(1, 1000))]
    found: dict[str, list[Unit]] = {
        "rate": [],
        "volume": [],
        "concentration": [],
        "weight": weights,
        "surface": [Unit("m2", "m2", Fraction(1))],
    }
    for amount, (counts, size) in _AMOUNTS.items():
        for per, body in _BODY.items():
            if counts == "volume" and not body:
                continue  # plain mL and mL/h: the firmware's grammar
            name = amount + per
            found["volume"].append(Unit(name, counts, Fraction(size), body))
            for time, hourly in _PER_HOUR.items():
                found["rate"].append(Unit(f"{name}/{time}", counts, size * hourly, body))
        if counts != "volume":
            for volume, share in _PER_ML.items():
                found["concentration"].append(Unit(f"{amount}/{volume}", counts, size * share))
    return {kind: {unit.name: unit for unit in units} for kind, units in found.items()}


UNITS = _units()


def parts() -> dict[str, list[str]]:
    """Return what quantities are put together from, for the reference page."""
    return {
        "an amount (mL only by weight or surface)": [*_AMOUNTS],
        "by weight, by surface": [body for body in _BODY if body],
        "a rate": [f"/{time}" for time in _PER_HOUR],
        "concentration: an amount": [f"/{volume}" for volume in _PER_ML],
        "weight": [*UNITS["weight"]],
        "surface": [*UNITS["surface"]],
    }


# For messages: what stands in a place of this kind.
_WORDS = {
    "rate": ("a rate", "an amount per min, h or day"),
    "volume": ("an amount", "an amount, not per time and not per mL"),
    "concentration": ("a concentration", "an amount per mL or L"),
    "weight": ("a weight", "kg or g"),
    "surface": ("a body surface", "m2"),
}
_EXAMPLES = {
    "rate": '"5 mL/h", or with [drug] "2 mcg/kg/min"',
    "volume": '"10 mL", or with [drug] "1 mg/kg"',
    "concentration": '"100 mg/mL" or "50 units/mL"',
    "weight": '"10 kg" or "750 g"',
    "surface": '"1.73 m2"',
}

# Other spellings whose meaning is clear; letters in the wrong case are found without a row here.
# What could mean two things ("m": minute or month? "gr": gram or grain?) has none.
_MEANT = {
    **dict.fromkeys(("ug", "\u00b5g", "\u03bcg", "mcgs", "microgram", "micrograms"), "mcg"),
    **dict.fromkeys(("mgs", "milligram", "milligrams"), "mg"),
    **dict.fromkeys(("gm", "gms", "gram", "grams"), "g"),
    **dict.fromkeys(("ngs", "nanogram", "nanograms"), "ng"),
    **dict.fromkeys(("U", "u", "IU", "iu", "I.U.", "IE", "unit"), "units"),
    **dict.fromkeys(("mU", "mIU", "milliunit"), "milliunits"),
    **dict.fromkeys(("cc", "ccm", "mLs", "mls", "millilitre", "milliliter"), "mL"),
    **dict.fromkeys(("l", "litre", "liter"), "L"),
    **dict.fromkeys(("kgs", "kilogram", "kilograms"), "kg"),
    **dict.fromkeys(("m\u00b2", "m^2", "sqm"), "m2"),
    **dict.fromkeys(("mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "days"), "day"),
}
_TOKENS = {*_AMOUNTS, *_PER_HOUR, *_PER_ML, "nL", "uL", "kg", "m2"}
_ANY_CASE = {token.lower(): token for token in _TOKENS}


@dataclass(frozen=True)
class Quantity:
    """A number and its unit, exact."""

    number: Fraction
    unit: Unit

    @property
    def value(self) -> Fraction:
        """The size in the smallest unit of what it counts; weight in kg, surface in m2."""
        return self.number * self.unit.factor


def show(quantity: Quantity) -> str:
    """Return the one text that `parse` reads as `quantity`, whose number must be a decimal."""
    places = next(n for n in range(100) if (quantity.number * 10**n).denominator == 1)
    digits = str(int(quantity.number * 10**places)).rjust(places + 1, "0")
    whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    return (
        f"{whole}.{decimals} {quantity.unit.name}" if places else f"{whole} {quantity.unit.name}"
    )


def parse(text: object, kind: str) -> Quantity:
    """Return `text` as a quantity of a kind of `UNITS`.

    Plain volumes ("5 mL/h") are not read here. Raises `UsageError`: E_UNIT or E_NUMBER.
    """
    if not isinstance(text, str):
        raise UsageError(f"{text!r}: write a text with a unit", code="E_UNIT", next=_eg(kind))
    number, _, name = text.partition(" ")
    unit = UNITS[kind].get(name)
    if unit is None:
        raise refusal(text, kind) or UsageError(
            f"'{text}': no known unit; {_WORDS[kind][0]} is {_WORDS[kind][1]}",
            code="E_UNIT",
            next=_eg(kind),
        )
    value = _number(text, number)
    if value == 0 and kind not in ("rate", "volume"):
        raise UsageError(f"'{text}' must be more than zero", code="E_NUMBER", next=_eg(kind))
    return Quantity(value, unit)


def pattern(kind: str) -> str:
    """Return a regular expression for quantities of `kind`, for JSON Schema.

    Those of rates and volumes hold for plain ones and doses.
    """
    if kind not in UNITS:
        return quantities.pattern(kind)
    names = "|".join(re.escape(name) for name in UNITS[kind])
    own = rf"^(0|[1-9][0-9]*)(\.[0-9]*[1-9])? ({names})$"
    return f"{own}|{quantities.pattern(kind)}" if kind in ("rate", "volume") else own


def _eg(kind: str) -> str:
    return f"e.g. {_EXAMPLES[kind]}"


def _number(text: str, number: str) -> Fraction:
    if not number.isascii():
        raise _look_alike(text, "E_NUMBER")
    value = quantities.number(text, number)
    if "." in number and number.endswith("0"):
        remedy = f"write {number.rstrip('0').rstrip('.')}"
        if re.fullmatch(r"[1-9][0-9]{0,2}\.[0-9]{3}", number):  # a thousand to many a reader
            remedy += f", or {number.replace('.', '')} if that was meant"
        raise UsageError(f"'{text}': no trailing zero", code="E_NUMBER", next=remedy)
    return value


def _meaning(name: str, kind: str) -> str | None:
    """Return the right spelling of a unit of `kind`, None where that is not clear."""
    tokens: list[str] = []
    for part in name.split("/"):
        part = part.strip()
        token = part if part in _TOKENS else _MEANT.get(part) or _ANY_CASE.get(part.lower())
        if token is None:
            return None
        tokens.append(token)
    written, swapped = "/".join(tokens), "/".join([tokens[0], *reversed(tokens[1:])])
    # mg/h/kg is mg/kg/h; the firmware's grammar writes mL/d.
    for candidate in (written, swapped, written.replace("day", "d")):
        if candidate in UNITS[kind] or is_plain(candidate, kind):
            return candidate
    return None


def is_plain(name: str, kind: str) -> bool:
    """Whether `name` is a unit of the firmware's grammar."""
    if kind not in ("rate", "volume"):
        return False
    try:
        quantities.parse(f"0 {name}", kind)
    except UsageError:
        return False
    return True


def refusal(text: str, kind: str) -> UsageError | None:
    """Return why `text` is no quantity of `kind`, None if there is nothing better to say."""
    if text != text.strip():
        said, right = "no blanks before or after", text.strip()
        return UsageError(f"'{text}': {said}", code="E_NUMBER", next=f"write '{right}'")
    glued = re.fullmatch(r"([0-9.,]+)([^0-9.,\s].*)", text)
    number, _, name = (glued[1], "", glued[2]) if glued else text.partition(" ")
    meant = _meaning(name, kind)
    if meant is not None:
        said = "one space before the unit" if meant == name else f"write {meant}, not {name}"
        return UsageError(f"'{text}': {said}", code="E_UNIT", next=f"write '{number} {meant}'")
    for other in UNITS:
        meant = _meaning(name, other)
        if meant is not None:
            return _other_kind(text, f"{number} {meant}", other, kind)
    if name[:1].isdecimal():
        said, remedy = "a gap between digits", "write a thousand as 1000"
        return UsageError(f"'{text}': {said}", code="E_NUMBER", next=remedy)
    if not text.isascii():
        return _look_alike(text, "E_UNIT" if number.isascii() and name else "E_NUMBER")
    return None


def _look_alike(text: str, code: str) -> UsageError:
    """Return the refusal of a text with a character that no quantity has, by its name."""
    strange = next(char for char in text if not char.isascii())
    called = unicodedata.name(strange, f"U+{ord(strange):04X}")
    remedy = "retype it with plain digits and letters, and one space"
    return UsageError(f"'{text}' holds {called}", code=code, next=remedy)


def _other_kind(text: str, meant: str, is_a: str, kind: str) -> UsageError:
    """Return the refusal of a quantity of one kind where another belongs."""
    noun, (belongs, form) = _WORDS[is_a][0], _WORDS[kind]
    name = meant.partition(" ")[2]
    # 2 mcg/kg as a rate: per what, only its writer knows.
    ways = [
        f"'{meant}{unit[len(name) :]}'" for unit in UNITS[kind] if unit.rpartition("/")[0] == name
    ]
    remedy = f"write {' or '.join(ways)}, whichever is meant" if ways else _eg(kind)
    return UsageError(
        f"'{text}' is {noun}, but {belongs} belongs here: {form}", code="E_UNIT", next=remedy
    )
