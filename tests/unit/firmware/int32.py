"""Signed 32-bit integers and buffers that refuse what viper would silently wrap.

CPython and the unix port have wide integers, so a sum that overflows on the RP2040 gives the right
answer there. These show the ranges instead: every operation on an Int32 checks its result.
"""

LEAST, MOST = -(1 << 31), (1 << 31) - 1


def _checked(name):
    plain = getattr(int, name)

    def operate(self, other):
        assert type(other) in (int, Int32)
        assert LEAST <= int(other) <= MOST
        return Int32(plain(self, other))

    return operate


class Int32(int):
    """An integer whose sums, products, shifts and masks must fit signed 32 bits."""

    def __new__(cls, value=0):
        value = int(value)
        assert LEAST <= value <= MOST, f"{value} leaves 32 bits"
        return super().__new__(cls, value)

    for _name in ("add", "sub", "mul", "and", "or", "xor", "lshift", "rshift"):
        locals()[f"__{_name}__"] = _checked(f"__{_name}__")
        locals()[f"__r{_name}__"] = _checked(f"__r{_name}__")

    def _refuse(self, *_):
        raise AssertionError("not an operation of the tick")

    __truediv__ = __floordiv__ = __mod__ = __pow__ = __neg__ = _refuse


class Buffer:
    """What viper's ptr16 (unsigned) or ptr32 (signed) points at: no index outside, ever."""

    def __init__(self, words, bits=32):
        self._words = [0] * words
        self._least, self._most = (0, (1 << 16) - 1) if bits == 16 else (LEAST, MOST)

    def __len__(self):
        return len(self._words)

    def __getitem__(self, index):
        assert 0 <= index < len(self._words), f"index {index}"
        return Int32(self._words[index])

    def __setitem__(self, index, value):
        assert 0 <= index < len(self._words), f"index {index}"
        assert self._least <= value <= self._most, f"{value} does not fit"
        self._words[int(index)] = int(value)
