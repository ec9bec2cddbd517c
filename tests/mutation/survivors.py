"""A word for each mutant that the tests of the dose core don't notice: why that may stay so.

The key names the module, the function and the line as the mutant has it, because mutmut's own
numbers change with every edit. `python -m mutation` prints what needs a word here.
"""

from __future__ import annotations

from typing import Any

_NEWTON = "equivalent: Newton's steps fall to the same root from any start above it"
_EMPTY = "equivalent: before the first items there are none, however they are counted"
_KVO_PHASE = "equivalent: KVO takes no part of a step over, whatever is said"
_BEGUN = "equivalent: asked only while something flows, and that begins with storing"
_EMPTIED = "equivalent: a syringe that is just empty makes 0 changes, and stays empty"
_FALSE = "equivalent: only asked whether it is true"
_LAST_KVO = (
    "equivalent: a dose follows KVO, and what that leaves overwrites this before it is asked"
)
_OUT_OF_SIGHT = "equivalent: nothing flowed in that piece, however long it is said to be"
_TAKEN = "equivalent: of every order an item was taken, and its time overwrites this"
_ENDED = "equivalent: there is no next change of flow, and it is not asked for again"

_NO_ALARM = "equivalent: nothing stands yet, and the first alarm sets it"
_SILENT_MS = "equivalent: no silence ends within a millisecond of power-on"
_MADE = "equivalent: order.py makes the orders, and sets it"
_RAMP_LAG = "lag += sum(order.lag_of(item.rate, item.volume_al) for item in step.items(%s))"

# (module, function): {line as the mutant has it: word}
_BY_FUNCTION = {
    ("arith", "isqrt"): {
        "x = 2": _NEWTON,
        "x <<= 2": _NEWTON,
    },
    ("planner", "Ramp.steps"): {
        "if hz < self.pull_in:": "equivalent: at the pull-in rate the formula gives 0 as well",
    },
    ("planner", "Ramp.up"): {
        "pieces = max(2, min(_PIECES, steps // 4))":
            "equivalent: of less than 8 steps the first half of the gain takes less than 4, and a "
            "piece of less than 4 is passed over",
        "for i in range(pieces + 1):": "equivalent: the piece of no gain has no steps",
    },
    ("planner", "stretch_segments"): {
        "exact = den <= _D_MAX":
            "tolerable: a denominator of exactly 2^30 is exact both ways, in more segments",
        "while not exact and n >= 1 and end != t0 + (k + n - 1) * num // den:":
            "equivalent: a segment of one step is always exact",
    },
    ("leg", "_ramps"): {
        "if 2 * full < steps:": "equivalent: two halves of the steps are the two whole ramps then",
    },
    ("limiter", "Limiter.restore"): {
        "ms, rates = [self._longest - 1] + data[0], [0] + data[1]": _OUT_OF_SIGHT,
        "ms, rates = [self._longest + 2] + data[0], [0] + data[1]": _OUT_OF_SIGHT,
    },
    ("limiter", "Limiter._shorten"): {
        "best, least = 1, None": "equivalent: the first pair looked at replaces it",
        "cost = fall * ms[i] * (ms[i + 1] if fall >= 0 else -self._longest)":
            "equivalent: no fall costs nothing, times anything",
    },
    ("limiter", "_before"): {
        "while ms[i] <= window and i:":
            "equivalent: the window begins at the end of the piece before instead",
    },
    ("limiter", "_exceeds"): {
        "before = ms[begin] if begin < last else 1": _ENDED,
        "after = ms[end] if end < last else 1": _ENDED,
    },
    ("checks", "square_rate"): {
        "if left_ms <= most:": "equivalent: 6 h are whole minutes",
    },
    ("checks", "check_bolus"): {
        "less = max(1, room - arith.volume_of(flowing, 2))":
            "equivalent: an attolitre is less than what is shown",
    },
    ("order", "_add_lags"): {
        "for _ in range(min(3, order.repeat)):": "equivalent: the third pass is as the second",
        **{
            _RAMP_LAG % given: "equivalent: neither number nor KVO changes the stairs of a ramp"
            for given in ("None, 0", "1, None", "2, 0", "1, 1")
        },
    },
    ("order", "_step"): {
        "if not _whole(step, key, None):": "equivalent: missing and 0 are refused alike",
    },
    ("program", "Order.__init__"): {
        "self.fault_al = None": _MADE,
        "self.fault_al = 1": _MADE,
        'self.drug = ""': _FALSE,
        'self.library = ""': _FALSE,
        "self.lag_ms = 1": _MADE,
    },
    ("program", "Order.syringe_changes"): {
        "if level <= 0:": _EMPTIED,
        "if level < 1:": _EMPTIED,
    },
    ("pca", "Pca.__init__"): {
        "self._committed = None": _FALSE,
        "self._committed = True":
            "equivalent: without a history there is room for what the constructor let pass",
    },
    ("pca", "Pca.begin"): {"self._committed = None": _FALSE},
    ("pca", "Pca.check_basal"): {
        "if self.running and basal >= self.basal:":
            "equivalent: what flows already was judged when it began",
    },
    ("pca", "Pca.dump"): {
        "if len(self._giving) >= 1:": "equivalent: of one dose that is the rate that flows",
    },
    ("pca", "Pca.allowed_from"): {
        "if locked <= left and not self._limiter.refuses(now_ms, waits, self.basal):":
            "equivalent: at the very end of the square dose both ways give the same instant",
        "return None if (at is None) and False else max(at, now_ms + locked)":
            "equivalent: rules by which a dose never fits are refused before they are in force",
    },
    ("patient", "Patient.__init__"): {
        "self._stored_ms = None": _BEGUN,
        "self._stored_ms = 1": _BEGUN,
        "self._damaged = None": _FALSE,
        "self._counted = None": _FALSE,
    },
    ("patient", "Patient._store"): {"self._counted = None": _FALSE},
    ("patient", "Patient.acknowledge"): {"self._damaged = None": _FALSE},
    ("alarms", "Alarms.__init__"): {
        "self._silent_until = 1": _NO_ALARM,
        "self._sounds_from = None": _NO_ALARM,
        "self._sounds_from = 1": _NO_ALARM,
    },
    ("alarms", "Alarms.as_list"): {'"silenced": self._silent_until > 1,': _SILENT_MS},
    ("alarms", "Alarms.service"): {
        "self.voice.show(rank, self._silent_until > 1, hint)": _SILENT_MS,
    },
    ("run", "Run.__init__"): {
        "self._last_rate = None": _FALSE,
        "self._index = 1": _EMPTY,
    },
    ("run", "Run.take_rest_ms"): {
        "rest, before.rest_al = before.rest_al, 1": "tolerable: an attolitre takes no millisecond",
    },
    ("run", "Run._append"): {"return": "equivalent: nothing follows the loop"},
    ("run", "Run._unroll"): {
        "self._items = self._items[self._index - 2 : self._index]":
            "tolerable: one more item that is done is kept",
    },
    ("run", "Run.restore"): {
        "lag_ms = None": _TAKEN,
        "lag_ms = 1": _TAKEN,
    },
    ("run", "Run._witness"): {
        "if way <= 0:": "equivalent: a motion's way is 1 or -1",
        "if way < 1:": "equivalent: a motion's way is 1 or -1",
    },
    ("run", "Run.add_bolus"): {
        "bolus.fix(1, self.al)": "equivalent: _refix() gives it its part of a step right after",
    },
    ("run", "Run.next_item"): {
        'if item.way > 0 and item.kind != "XXkvoXX":': _LAST_KVO,
        'if item.way > 0 and item.kind != "KVO":': _LAST_KVO,
    },
    ("run", "Run.keep_open"): {
        "self.kvo.fix(None, self.al)": _KVO_PHASE,
        "self.kvo.fix(1, self.al)": _KVO_PHASE,
    },
    ("run", "Run._pass_wait"): {
        "return 1": "equivalent: asked for KVO only, and this is a wait",
        "left = max(0, left - volume) if ms >= 0 else left + volume":
            "equivalent: in no time nothing flows",
    },
    ("run", "Run._refix"): {
        'if item.way >= 0 and item.kind != "kvo":':
            "equivalent: a wait hands on the part of a step it is given",
        "elif item.way >= 0:": "equivalent: a wait hands on the part of a step it is given",
    },
}  # fmt: skip

WORDS = {
    (*where, line): word for where, lines in _BY_FUNCTION.items() for line, word in lines.items()
}


def line(mutant: dict[str, Any]) -> str:
    """Return the mutant's line without the comment behind it."""
    return mutant["after"].split("  # ")[0]


def why(name: str, mutant: dict[str, Any]) -> str:
    """Return the word for a survivor, "" when there is none."""
    return WORDS.get((name, mutant["function"], line(mutant)), "")
