"""Order files: what to deliver, step by step (TOML, schema 1), and their compiled form.

Strict: an unknown key, a missing unit or a third quantity is a `FileError` that names file,
line, key and remedy. What board and syringe allow is a different question: `limits.py`.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from doseloop import dose_units, quantities, resources
from doseloop.doses import Doses, Ordered
from doseloop.drug import DRUG, OVERRIDE, Drug, read_drug, read_override
from doseloop.errors import UsageError
from doseloop.strict import Field, Fields, Key, TomlFile, json_schema

KIND = "order"
SCHEMA = 1
CODE = "E_ORDER"
MAX_STEPS = 50
MAX_NAME = 64  # what the pump keeps of a name; longer would be cut there

MAX_REPEAT = 1000
# mode: the keys that it alone has, all of them required
MODES: dict[str, tuple[str, ...]] = {
    "infuse": (),
    "withdraw": (),
    "bolus": (),
    "ramp": ("rate_end",),
    "intermittent": ("every", "count"),
    "pause": (),
}
# A pca has keys of its own and none of the others but duration.
PCA = "pca"
PCA_MS = 24 * 3_600_000  # how long, unless the order says: firmware/pump/order.py

_TOP: Fields = {
    "schema": Field("int", "schema = 1", least=1, most=1),
    "name": Field("text", f"what it is, at most {MAX_NAME} characters"),
    "source": Field("text", "where the rates come from", required=False),
    "on_link_loss": Field("text", '"continue" (default) or "stop:60 s"', required=False),
    "syringe": Field("table", "[syringe]: model and fill", required=False),
    "drug": Field("table", "[drug]: what is in the syringe, for whom", required=False),
    "override": Field("table", "[override]: who goes beyond soft limits, and why", required=False),
    "repeat": Field(
        "int", "how many times all steps are done, 1 by default", False, (), 1, MAX_REPEAT
    ),
    "step": Field("tables", f"[[step]], 1 … {MAX_STEPS}"),
    "after": Field("table", "[after]: what follows the last step", required=False),
}
_SYRINGE: Fields = {
    "model": Field("text", "a model of the syringe library"),
    "fill": Field("volume", 'volume in it at the start, e.g. "40 mL"', required=False),
}
_STEP: Fields = {
    "mode": Field("word", ", ".join((*MODES, PCA)), words=(*MODES, PCA)),
    "rate": Field("rate", 'e.g. "5 mL/h", or a dose: "2 mcg/kg/min"', required=False),
    "volume": Field("volume", 'e.g. "10 mL", or a dose: "1 mg/kg"', required=False),
    "duration": Field("duration", 'e.g. "30 min"', required=False),
    "rate_end": Field("rate", 'of a ramp: the rate it ends with, e.g. "40 mL/h"', required=False),
    "every": Field("duration", 'of intermittent doses: from start to start, e.g. "8 h"', False),
    "count": Field("int", "of intermittent doses: how many", False, (), 1, MAX_REPEAT),
}
_PCA: Fields = {
    "mode": Field("word", "pca", words=(PCA,)),
    "basal": Field("rate", 'that flows all the time, e.g. "1 mL/h", or a dose', required=False),
    "dose": Field("volume", 'on demand, e.g. "1 mL", or a dose: "1 mg"'),
    "dose_rate": Field("rate", 'of the dose, e.g. "60 mL/h"'),
    "lockout": Field("duration", 'from the start of a dose to the next, e.g. "6 min"'),
    "limit_1h": Field("volume", 'in any hour, basal rate included, e.g. "8 mL"', required=False),
    "limit_4h": Field("volume", 'in any 4 hours, e.g. "20 mL"', required=False),
    "boluses": Field(
        "word",
        'a clinician\'s: "counted" towards the limits (default), or "apart" from them',
        required=False,
        words=("counted", "apart"),
    ),
    "duration": Field("duration", 'how long, "24 h" by default', required=False),
}
_AFTER: Fields = {
    "kvo": Field("rate", 'keep-vein-open rate, e.g. "0.5 mL/h"; never above the rate before it')
}


@dataclass(frozen=True)
class Step:
    """One step: two of rate (aL/h), volume (aL), duration (ms); a pause has a duration.

    A ramp also has the rate it ends with, an intermittent dose how often and how many.
    """

    mode: str
    rate_al_per_h: int | None
    volume_al: int | None
    duration_ms: int | None
    rate_end_al_per_h: int | None = None
    every_ms: int | None = None
    count: int | None = None
    pca: Pca | None = None

    def compiled(self) -> dict[str, Any]:
        """Return the step as the pump reads it: absent quantities are left out."""
        values = {
            "mode": self.mode,
            "rate_al_per_h": self.rate_al_per_h,
            "volume_al": self.volume_al,
            "duration_ms": self.duration_ms,
            "rate_end_al_per_h": self.rate_end_al_per_h,
            "every_ms": self.every_ms,
            "count": self.count,
        }
        if self.pca is not None:
            values |= asdict(self.pca)
            values["basal_al_per_h"] = values.pop("rate_al_per_h")
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Pca:
    """Patient-controlled analgesia: the dose on demand, its rate, its lockout, its limits."""

    dose_al: int
    dose_rate_al_per_h: int
    lockout_ms: int
    limit_1h_al: int | None
    limit_4h_al: int | None
    boluses_apart: int | None = None  # 1: a clinician's don't count towards the limits


@dataclass(frozen=True)
class Order:
    """A checked order. `stop_ms` is None when the pump goes on without its host.

    `doses`: the rates and volumes that were ordered as doses, with what became of them.
    """

    name: str
    source: str | None
    stop_ms: int | None
    syringe: str | None
    fill_al: int | None
    drug: Drug | None
    steps: tuple[Step, ...]
    kvo_al_per_h: int | None
    repeat: int = 1
    doses: tuple[Ordered, ...] = ()
    override: tuple[str, str] | None = None  # who goes beyond soft limits, and why

    def compiled(self) -> dict[str, Any]:
        """Return the order as the pump reads it."""
        name = self.name
        if self.drug and self.drug.name.lower() not in name.lower():
            name = f"{name} [{self.drug.name}]"
        drug = self.drug.compiled() if self.drug else {}
        if self.override:
            drug |= dict(zip(("who", "why"), self.override, strict=True))
        return {
            "schema": SCHEMA,
            "name": name,
            "syringe": self.syringe,
            "fill_al": self.fill_al,
            "on_link_loss": "continue" if self.stop_ms is None else {"stop_ms": self.stop_ms},
            "steps": [step.compiled() for step in self.steps],
            "kvo_al_per_h": self.kvo_al_per_h,
            **({} if self.repeat == 1 else {"repeat": self.repeat}),
            **({"drug": drug} if drug else {}),
        }

    @property
    def text(self) -> str:
        """The compiled order as JSON text: ASCII, keys sorted, no spaces."""
        return json.dumps(self.compiled(), sort_keys=True, separators=(",", ":"))

    @property
    def sealed(self) -> str:
        """The text with kind, version and CRC, as the pump takes it."""
        return str(resources.firmware_module("sealed").seal(KIND, SCHEMA, self.text))


def load_order(path: Path) -> Order:
    """Return the checked order in `path`. Raises `FileError`."""
    file = TomlFile(path, CODE)
    top = file.table((), file.data, _TOP)
    drug = read_drug(file, top["drug"])
    extra = len(drug.name) + 3 if drug else 0
    if len(top["name"]) + extra > MAX_NAME:
        file.fail(("name",), f"longer than {MAX_NAME} characters with the drug", next="shorten it")
    raw_steps = cast("list[Any]", top["step"])
    if len(raw_steps) > MAX_STEPS:
        file.fail(
            ("step", MAX_STEPS),
            f"{len(raw_steps)} steps, but an order has at most {MAX_STEPS}",
            next="join steps or run two orders",
        )
    syringe: dict[str, Any] = {"model": None, "fill": None}
    if top["syringe"] is not None:
        syringe = file.table(("syringe",), top["syringe"], _SYRINGE)
    reader = Doses(drug.concentration, drug.weight, drug.surface) if drug else Doses()
    steps = tuple(_step(file, ("step", nth), raw, reader) for nth, raw in enumerate(raw_steps))
    kvo: int | None = None
    if top["after"] is not None:
        kvo = file.table(("after",), top["after"], _AFTER, reader.readers)["kvo"]
    return Order(
        name=top["name"],
        source=top["source"],
        stop_ms=_stop_ms(file, top["on_link_loss"]),
        syringe=syringe["model"],
        fill_al=syringe["fill"],
        drug=drug,
        steps=steps,
        kvo_al_per_h=kvo,
        repeat=top["repeat"] or 1,
        doses=tuple(reader.ordered),
        override=read_override(file, top["override"], drug),
    )


def _stop_ms(file: TomlFile, text: str | None) -> int | None:
    if text is None or text == "continue":
        return None
    word, _, quantity = text.partition(":")
    remedy = 'write "continue" or "stop:60 s"'
    if word != "stop":
        file.fail(("on_link_loss",), f"'{text}' is neither", next=remedy)
    try:
        stop_ms = quantities.parse(quantity, "duration")
    except UsageError as error:
        file.fail(("on_link_loss",), error.message, code=error.code, next=remedy)
    if stop_ms == 0:
        file.fail(("on_link_loss",), "must be more than zero", code="E_NUMBER", next=remedy)
    return stop_ms


def stop_ms_of(text: str) -> int | None:
    """Return the `stop_ms` of an order file that was recorded; None also when it is damaged."""
    try:
        word, _, quantity = str(tomllib.loads(text).get("on_link_loss")).partition(":")
        return quantities.parse(quantity, "duration") if word == "stop" else None
    except (ValueError, UsageError):
        return None


def _mode(raw: object) -> object:
    return cast("dict[str, Any]", raw).get("mode") if isinstance(raw, dict) else None


def _step(file: TomlFile, key: Key, raw: object, reader: Doses) -> Step:
    if _mode(raw) == PCA:
        return _pca(file, key, raw, reader)
    step = file.table(key, raw, _STEP, reader.readers)
    own = MODES[step["mode"]]
    for name in ("rate_end", "every", "count"):
        if step[name] is None and name in own:
            remedy = f"add it: {_STEP[name].help}"
            file.fail((*key, name), f"{step['mode']} needs it", next=remedy)
        if step[name] is not None and name not in own:
            file.fail((*key, name), f"{step['mode']} has no {name}", next="remove it")
    given = [name for name in ("rate", "volume", "duration") if step[name] is not None]
    if step["mode"] == "pause":
        if given != ["duration"]:
            file.fail(key, "a pause has a duration and nothing else", next='duration = "10 min"')
    elif len(given) != 2:
        file.fail(
            key,
            f"exactly two of rate, volume, duration; here: {', '.join(given) or 'none'}",
            next="remove one" if len(given) == 3 else "add what is missing",
        )
    return Step(
        step["mode"],
        step["rate"],
        step["volume"],
        step["duration"],
        step["rate_end"],
        step["every"],
        step["count"],
    )


def _pca(file: TomlFile, key: Key, raw: object, reader: Doses) -> Step:
    step = file.table(key, raw, _PCA, reader.readers)
    if len(cast("list[Any]", file.data["step"])) > 1 or file.data.get("repeat", 1) != 1:
        file.fail(key, "a pca is an order of its own", next="leave the other steps out")
    if step["limit_1h"] is None and step["limit_4h"] is None:
        file.fail(key, "needs a limit", next="add limit_1h, limit_4h or both")
    return Step(
        PCA,
        step["basal"] or 0,
        None,
        step["duration"] or PCA_MS,
        pca=Pca(
            step["dose"],
            step["dose_rate"],
            step["lockout"],
            step["limit_1h"],
            step["limit_4h"],
            1 if step["boluses"] == "apart" else None,
        ),
    )


def order_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of order files, made from the tables this module reads by."""
    step = json_schema(_STEP, {}, dose_units.pattern)
    pca = json_schema(_PCA, {}, dose_units.pattern)
    step["properties"] = pca["properties"] | step["properties"]
    quantities_of = {
        "rate and volume": ("rate", "volume"),
        "rate and duration": ("rate", "duration"),
        "volume and duration": ("volume", "duration"),
    }
    keys = set(step["properties"]) - {"mode"}
    cases: list[tuple[str, list[str], set[str]]] = [("pause", ["pause"], {"duration"})]
    for own in sorted(set(MODES.values())):
        alike = [mode for mode, more in MODES.items() if more == own and mode != "pause"]
        cases += [
            (f"{', '.join(alike)}: {title}", alike, {*names, *own})
            for title, names in quantities_of.items()
        ]
    step["oneOf"] = [
        {
            "title": title,
            "properties": {"mode": {"enum": modes}},
            "required": sorted(required),
            "not": {"anyOf": [{"required": [name]} for name in sorted(keys - required)]},
        }
        for title, modes, required in cases
    ] + [
        {
            "title": "pca",
            "properties": {"mode": {"const": PCA}},
            "required": pca["required"],
            "anyOf": [{"required": ["limit_1h"]}, {"required": ["limit_4h"]}],
            "not": {
                "anyOf": [{"required": [name]} for name in sorted(keys - set(pca["properties"]))]
            },
        }
    ]
    nested = {
        "syringe": json_schema(_SYRINGE, {}),
        "drug": json_schema(DRUG, {}, dose_units.pattern),
        "step": {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "items": step},
        "override": json_schema(OVERRIDE, {}),
        "after": json_schema(_AFTER, {}, dose_units.pattern),
    }
    schema = json_schema(_TOP, nested)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Doseloop order, schema 1",
        **schema,
    }
