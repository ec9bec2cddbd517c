"""Read and write quantities: a number, one space, a unit ("5 mL/h"), exactly, as integers.

One grammar for order files, board files, the command line and the terminal on the pump; the
host reaches it through `doseloop.resources`. Nothing is rounded: what is not whole in the
base unit of its kind is refused, and the nearest whole value is named. No floats.

| kind | base unit (1 =) | units |
| --- | --- | --- |
| volume | aL (10^-18 L) | nL uL µL mL L |
| rate | aL/h | a volume / s min h d |
| duration | ms | ms s min h d |
| mass | pg | pg ng mcg ug µg mg g kg |
| concentration | pg/mL | a mass / mL L |
| weight | g | g kg |
| length | nm | nm um µm mm cm m |
| speed | Hz, steps/s | Hz kHz |
| acceleration | Hz/s | Hz/s |
| pulse | ns | ns us µs |
| pressure | nPa | Pa kPa mbar mmHg |
| count | 1 | none: digits only |
"""

from pump import shown

# What a person types stays far below; 24 digits hold every value the pump can name
# (10^24 aL = 1000 m³) and bound the work a hostile line can cause.
MAX_DIGITS = 24

_DIGITS = "0123456789"
_HOUR_MS = 3600000

_VOLUME = (("nL", 10**9), ("uL", 10**12), ("mL", 10**15), ("L", 10**18))
_TIME = (("ms", 1), ("s", 1000), ("min", 60000), ("h", _HOUR_MS), ("d", 24 * _HOUR_MS))
_MASS = (
    ("pg", 1),
    ("ng", 10**3),
    ("mcg", 10**6),
    ("ug", 10**6),
    ("mg", 10**9),
    ("g", 10**12),
    ("kg", 10**15),
)

# kind: (units, scale, divisors). The value of "x U/V" is x · U · scale / V.
_KINDS = {
    "volume": (_VOLUME, 1, None),
    "rate": (_VOLUME, _HOUR_MS, _TIME[1:]),
    "duration": (_TIME, 1, None),
    "mass": (_MASS, 1, None),
    "concentration": (_MASS, 1, (("mL", 1), ("L", 1000))),
    "weight": ((("g", 1), ("kg", 1000)), 1, None),
    "length": (
        (("nm", 1), ("um", 1000), ("mm", 10**6), ("cm", 10**7), ("m", 10**9)),
        1,
        None,
    ),
    "speed": ((("Hz", 1), ("kHz", 1000)), 1, None),
    "acceleration": ((("Hz", 1),), 1, (("s", 1),)),
    "pulse": ((("ns", 1), ("us", 1000)), 1, None),
    # 1 mmHg = 13.5951 g/cm³ · 9.80665 m/s² · 1 mm, exact in nPa; 1 psi would not be.
    "pressure": (
        (("Pa", 10**9), ("kPa", 10**12), ("mbar", 10**11), ("mmHg", 133_322_387_415)),
        1,
        None,
    ),
    "count": ((), 1, None),
}

# How the kinds are shown that the pump itself doesn't show (shown.py).
_SHOW = {
    "mass": (("mg", 9, 10**9), ("mcg", 6, 10**6), ("ng", 3, 0)),
    "concentration": (("mg/mL", 9, 10**9), ("mcg/mL", 6, 10**6), ("ng/mL", 3, 0)),
    "weight": (("kg", 3, 0),),
    "length": (("mm", 6, 10**5), ("um", 3, 0)),
    "speed": (("Hz", 0, 0),),
    "acceleration": (("Hz/s", 0, 0),),
    "pulse": (("ns", 0, 0),),
    "pressure": (("kPa", 12, 0),),
    "count": (("", 0, 0),),
}


class QuantityError(Exception):
    """A refused quantity. `code` is E_UNIT or E_NUMBER; `nearest` a quantity text or None."""

    def __init__(self, code, message, nearest=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.nearest = nearest


def units(kind):
    """Return the units of `kind` as one text, for messages and help."""
    names, _scale, divisors = _KINDS[kind]
    text = " ".join([name for name, _factor in names])
    if divisors:
        text = "(%s) / (%s)" % (text, " ".join([name for name, _factor in divisors]))
    return text


def _factor(table, name):
    for unit, factor in table:
        if unit == name:
            return factor
    return None


def _unit_factor(unit, kind):
    """Return (numerator, denominator) of `unit` in base units, or None if it is unknown."""
    names, scale, divisors = _KINDS[kind]
    # Both code points that look like µ: micro sign and Greek mu.
    unit = unit.replace("\u00b5", "u").replace("\u03bc", "u")
    over = 1
    if divisors:
        unit, slash, below = unit.partition("/")
        over = _factor(divisors, below) if slash else None
    upper = _factor(names, unit)
    if upper is None or over is None:
        return None
    return upper * scale, over


def _unit_error(text, unit, kind):
    names, _scale, divisors = _KINDS[kind]
    for name, _value in names:
        for below, _value in divisors or (("", 1),):
            known = name + "/" + below if below else name
            if unit.lower() == known.lower():
                return QuantityError("E_UNIT", "'%s': write %s, not %s" % (text, known, unit))
    return QuantityError(
        "E_UNIT", "'%s': unknown %s unit '%s'; use %s" % (text, kind, unit, units(kind))
    )


def digits(text, number):
    """Return (integer of all digits, count of decimals) of a plain decimal `number`.

    `text` is what a refusal quotes.
    """
    whole, point, decimals = number.partition(".")
    for char in whole + decimals:
        if char not in _DIGITS:
            hint = "digits and one decimal point, one space, a unit"
            if char == ",":
                hint = "write 1.5 or 1500, not a comma"
            elif char in "+-":
                hint = "no sign"
            elif char in "eE" and whole[:1] in _DIGITS:
                hint = "no exponent"
            raise QuantityError("E_NUMBER", "'%s': %s" % (text, hint))
    if not whole or (point and not decimals):
        raise QuantityError("E_NUMBER", "'%s': digits on both sides of the point" % text)
    if len(whole) > 1 and whole[0] == "0":
        raise QuantityError("E_NUMBER", "'%s': no leading zeros" % text)
    if len(whole) + len(decimals) > MAX_DIGITS:
        raise QuantityError("E_NUMBER", "'%s': at most %d digits" % (text, MAX_DIGITS))
    return int(whole + decimals), len(decimals)


def parse(text, kind):
    """Return the quantity `text` as an integer in the base unit of `kind`.

    Raises `QuantityError`: E_UNIT for a missing or unknown unit, E_NUMBER for a number that
    is not plain decimal, or not whole in base units (with the nearest that is).
    """
    if not isinstance(text, str):
        raise QuantityError("E_UNIT", "%r: write a text with a unit (%s)" % (text, units(kind)))
    if kind == "count":
        if text == "" or [char for char in text if char not in _DIGITS]:
            raise QuantityError("E_NUMBER", "'%s': a count is digits only" % text)
        return digits(text, text)[0]
    number, space, unit = text.partition(" ")
    if not space:
        tail = number.lstrip("0123456789.")
        if tail and tail != number and _unit_factor(tail, kind):
            cut = number[: len(number) - len(tail)]
            raise QuantityError("E_UNIT", "'%s': write '%s %s'" % (text, cut, tail))
        digits(text, number)
        raise QuantityError("E_UNIT", "'%s': unit missing; use %s" % (text, units(kind)))
    factor = _unit_factor(unit, kind)
    if factor is None:
        raise _unit_error(text, unit, kind)
    value, decimals = digits(text, number)
    below = factor[1] * 10**decimals
    whole, rest = divmod(value * factor[0], below)
    if rest:
        nearest = format(whole + (1 if 2 * rest >= below else 0), kind)
        raise QuantityError(
            "E_NUMBER",
            "'%s' is finer than the pump can count; nearest: %s" % (text, nearest),
            nearest,
        )
    if whole >= 10**MAX_DIGITS:  # it could not be read back as it is shown
        raise QuantityError("E_NUMBER", "'%s' is more than a pump can name" % text)
    return whole


def format(value, kind):
    """Return `value` (base unit of `kind`, not negative) as a text that `parse` reads back."""
    return shown.format(value, kind, _SHOW.get(kind))
