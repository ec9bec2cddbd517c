"""What `doseloop info` shows: identity, versions, and the configuration with its rounding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from doseloop import output, quantities, resources, results, wire
from doseloop.errors import DoseloopError, LinkError
from doseloop.pump import Pump
from doseloop.results import Identity


@dataclass(frozen=True)
class Facts:
    """Identity of a pump and its configuration in force, None without one."""

    port: str
    identity: Identity
    config: dict[str, Any] | None
    rounding_ppt: float | None  # relative error of al_per_step, 10^-12; None: unknown board

    def as_json(self) -> dict[str, Any]:
        """Return all of it as one object."""
        return {
            "schema": 1,
            "port": self.port,
            **results.plain(self.identity),
            "host_protocol": wire.protocol(),
            "config": self.config,
            "al_per_step_error_ppt": self.rounding_ppt,
        }

    def as_text(self) -> str:
        """Return all of it as lines."""
        pump = self.identity
        rows = [
            ("serial", pump.serial),
            ("port", f"{self.port} ({pump.tier})"),
            ("firmware", f"{pump.firmware}, {pump.hash or 'hash unknown'}"),
            ("protocol", f"{pump.protocol} (these tools: {wire.protocol()})"),
            ("micropython", pump.micropython),
            ("boot", f"number {pump.boot}, {pump.last_event} events"),
            ("state", pump.state),
        ]
        if self.config is None:
            rows.append(("config", "none: doseloop config push --board BOARD --syringe SYRINGE"))
            return output.table(rows)
        motion, limits = self.config["motion"], self.config["limits"]
        error = "" if self.rounding_ppt is None else f" (off by {self.rounding_ppt:+.3f}e-12)"
        rows += [
            ("config", str(pump.config_crc)),
            ("board", self.config["board"]["name"]),
            ("syringe", self.config["syringe"]["model"]),
            ("microstep", f"{motion['al_per_step']:,} aL{error}"),
            ("lowest rate", quantities.show(limits["rate_min_al_per_h"], "rate")),
            ("highest rate", quantities.show(limits["rate_max_al_per_h"], "rate")),
        ]
        return output.table(rows)


def gather(pump: Pump) -> Facts:
    """Return the facts about an open pump."""
    config = read_config(pump)
    return Facts(pump.port, pump.identity, config, None if config is None else _rounding(config))


def read_config(pump: Pump) -> dict[str, Any] | None:
    """Return the configuration in force in the pump, None without one."""
    if pump.identity.config_crc is None:
        return None
    sealed = resources.firmware_module("sealed")
    try:
        return json.loads(sealed.unseal("config", 1, pump.config_text()))
    except (sealed.SealError, ValueError) as error:
        raise LinkError(f"the pump's configuration is damaged: {error}", code="E_CONFIG") from None


def _rounding(config: dict[str, Any]) -> float | None:
    # The pump holds whole attolitres; what was rounded off is known where its files are.
    from doseloop.boards import find_board
    from doseloop.config import compile_config
    from doseloop.syringes import find_syringe

    try:
        board = find_board(config["board"]["name"])
        compiled = compile_config(board, find_syringe(config["syringe"]["model"]))
    except DoseloopError:
        return None
    if compiled.al_per_step != config["motion"]["al_per_step"]:
        return None
    return float(compiled.rounding_ppt)
