"""A pump, for programs: `Pump.open()`, then methods that get, set and move.

Blocking calls, each with a deadline. What the pump says by itself (events, telemetry) is read
with `message`; events come in order, none twice, and those that got lost are fetched. A pump that
restarted is greeted anew, and nothing is started again.

    with Pump.open() as pump:
        plan = pump.infuse(volume_al=2_500_000_000_000_000, rate_al_per_h=5 * 10**15)
        pump.start()
"""

from __future__ import annotations

from functools import partial
from typing import Any

from doseloop import ports, quantities, results, wire
from doseloop.connection import Connection, Recorder
from doseloop.errors import LinkError
from doseloop.results import Change, Delivered, PcaState, Plan
from doseloop.session import DEADLINE_S
from doseloop.transport import SerialTransport, open_again

_CHUNK = 512  # characters of a sealed text in one frame, at most


class Pump(Connection):
    """One pump on one port. Open it with `Pump.open`, or give it a transport."""

    @classmethod
    def open(
        cls,
        port: str | None = None,
        *,
        deadline_s: float = DEADLINE_S,
        recorder: Recorder | None = None,
    ) -> Pump:
        """Open `port`, else DOSELOOP_PORT, else the only pump there is.

        Raises `NoPump`, `PortBusy` (exit code 3) or `LinkError` (4).
        """
        name = ports.choose(port)
        transport = SerialTransport(name)
        again = partial(open_again, name)
        return cls(transport, deadline_s=deadline_s, recorder=recorder, again=again)

    # -- reading: works with any firmware that answers -------------------------------------

    def commands(self) -> list[results.CommandSpec]:
        """Get the pump's own command table, with units and limits."""
        specs: list[results.CommandSpec] = []
        start: int | None = 0
        while start is not None:
            page = self._call("commands", {"from": start})
            specs += results.convert(
                page.get("commands"), list[results.CommandSpec], "command table"
            )
            start = page.get("next")
        return specs

    def config_text(self) -> str:
        """Get the sealed configuration in force; "" when the board has none."""
        return self._pages("config_get", "configuration")

    def plan(self) -> Plan:
        """Get the plan of the order that is loaded."""
        return results.convert(self._call("plan"), Plan, "plan")

    def alarms(self) -> list[results.AlarmState]:
        """Get every alarm that stands, the highest first; the status has three."""
        found: list[results.AlarmState] = []
        start: int | None = 0
        while start is not None:
            page = self._call("alarms", {"from": start})
            found += results.convert(page.get("alarms"), list[results.AlarmState], "alarms")
            start = page.get("next")
        return found

    # -- setting and moving: the same protocol version is a must ---------------------------

    def push_config(self, sealed: str) -> str:
        """Set the configuration; returns its CRC as the pump has it. Only when idle.

        Proposed and confirmed in one go: whoever asks a person in between calls the two.
        """
        return str(self.confirm(self.propose_config(sealed).digest).get("config_crc"))

    def propose_config(self, sealed: str) -> Change:
        """Let the pump check a configuration; `confirm` puts it in force."""
        self._put("config", sealed)
        return self._change("config", {"size": len(sealed)})

    def confirm(self, digest: str) -> dict[str, Any]:
        """Put in effect the change that was proposed, if it is the one with this digest."""
        return self._move("confirm", {"digest": digest})

    def propose_library(self, sealed: str, *, replace: bool = False) -> Change:
        """Let the pump check a drug library; `confirm` puts it in force. Only when idle.

        `replace`: also one that is no newer version of what is in force.
        """
        self._put("library", sealed)
        more = {"replace": 1} if replace else {}
        return self._change("library", {"size": len(sealed), **more})

    def library_text(self) -> str:
        """Get the compiled drug library in force, "" when there is none. Only when idle."""
        if self._call("library").get("library") is None:
            return ""
        return self._pages("library", "drug library")

    def limits(self) -> results.Limits | None:
        """Get what the drug library allows in the loaded order; None: it names no item of one."""
        data = self._call("library").get("limits")
        return None if data is None else results.convert(data, results.Limits, "limits")

    def order(self, sealed: str) -> Plan:
        """Load a sealed order and return its plan; nothing moves yet."""
        self._put("order", sealed)
        return self._plan("order", {"size": len(sealed)})

    def infuse(
        self,
        *,
        volume_al: int | None = None,
        rate_al_per_h: int | None = None,
        duration_ms: int | None = None,
    ) -> Plan:
        """Load a simple order, two of the three given, and return its plan."""
        return self._plan("infuse", quantities.two_given(volume_al, rate_al_per_h, duration_ms))

    def withdraw(
        self,
        *,
        volume_al: int | None = None,
        rate_al_per_h: int | None = None,
        duration_ms: int | None = None,
    ) -> Plan:
        """Load a simple withdrawal, two of the three given, and return its plan."""
        return self._plan("withdraw", quantities.two_given(volume_al, rate_al_per_h, duration_ms))

    def bolus(
        self,
        *,
        volume_al: int | None = None,
        rate_al_per_h: int | None = None,
        duration_ms: int | None = None,
    ) -> Plan:
        """Load a single bolus, two of the three given, and return its plan.

        `start` gives it; `hold`, called at least three times a second, gives it while it is held.
        """
        return self._plan("bolus", quantities.two_given(volume_al, rate_al_per_h, duration_ms))

    def prime(
        self,
        *,
        volume_al: int | None = None,
        rate_al_per_h: int | None = None,
        duration_ms: int | None = None,
    ) -> Plan:
        """Load a priming of the line, two of the three given, and return its plan.

        `hold`, called at least three times a second, gives it while it is held. None of it counts
        as delivered.
        """
        return self._plan("prime", quantities.two_given(volume_al, rate_al_per_h, duration_ms))

    def hold(self) -> None:
        """Start the loaded bolus or prime or keep it going: it ends 0.3 s after the last call."""
        self._move("hold")

    def bolus_now(
        self, volume_al: int, rate_al_per_h: int | None = None, duration_ms: int | None = None
    ) -> None:
        """Give a dose on top of the run in progress, now; the order's rate and volume stay.

        At a rate; or spread evenly over a duration, a square bolus, which a normal dose suspends.
        """
        args = quantities.two_given(volume_al, rate_al_per_h, duration_ms)
        self._move("bolus_now", args)

    def demand(self) -> PcaState:
        """Ask for a dose as the patient's button does; `given_now` says whether it came."""
        return results.convert(self._move("demand"), PcaState, "pca")

    def pca(self) -> PcaState:
        """Get what the patient asked for and got, and what the limits leave."""
        return results.convert(self._call("pca"), PcaState, "pca")

    def start(self, order_crc: str | None = None) -> str:
        """Start the loaded order and return the run's id. `order_crc` must match, if given."""
        args = {} if order_crc is None else {"order_crc": order_crc}
        return str(self._move("start", args).get("run", ""))

    def resume(self) -> None:
        """Go on with a paused or interrupted run, exactly with what is left of it."""
        self._move("resume")

    def set_rate(self, rate_al_per_h: int) -> None:
        """Set the rate of the running stretch; takes effect at once, no step lost or doubled.

        Proposed and confirmed in one go: whoever asks a person in between calls the two.
        """
        self.confirm(self.propose_rate(rate_al_per_h).digest)

    def propose_rate(self, rate_al_per_h: int) -> Change:
        """Let the pump check a rate for the running stretch; `confirm` puts it in effect."""
        return self._change("rate", {"rate_al_per_h": rate_al_per_h})

    def propose_occlusion(self, threshold_npa: int) -> Change:
        """Let the pump check an occlusion threshold in nPa; `confirm` puts it in force."""
        return self._change("occlusion", {"threshold_npa": threshold_npa})

    def load(self, volume_al: int) -> None:
        """Set the volume of the syringe that was just mounted."""
        self._move("load", {"volume_al": volume_al})

    def clear(self) -> None:
        """Clear an alarm whose cause is gone."""
        self._move("clear")

    def silence(self) -> int:
        """Silence the alarms that stand; return for how many ms, 120,000 at most."""
        return int(self._move("silence")["silent_ms"])

    def alarm_test(self) -> int:
        """Let every alarm signal be given once; return how long that takes in ms."""
        return int(self._move("alarm_test")["ms"])

    def alarm_noticed(self, *, sound: bool, lamp: bool) -> list[str]:
        """Record what a person noticed of the test; return the alarms that stand then."""
        args = {"sound": int(sound), "lamp": int(lamp)}
        return [str(code) for code in self._move("alarm_test", args)["alarms"]]

    # -- stopping: never refused for a version ---------------------------------------------

    def pause(self) -> Delivered:
        """Pause the run; says what was delivered so far.

        A break goes first: it stops the motor although the pump is busy or bytes queue up.
        """
        self._session.transport.send_break()
        return results.convert(self._call("pause"), Delivered, "reply")

    def stop(self) -> Delivered:
        """End the run; says what was delivered. Does no harm when nothing runs.

        A break goes first, as with `pause`.
        """
        self._session.transport.send_break()
        return results.convert(self._call("stop"), Delivered, "reply")

    # -- plumbing ----------------------------------------------------------------------------

    def _move(self, command: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        wire.check_protocol(self.identity.protocol, self.port)
        ok = self._call(command, args)
        if self.recorder is not None:
            self.recorder.reply(self.identity, command, args or {}, ok)
        return ok

    def _plan(self, command: str, args: dict[str, Any]) -> Plan:
        return results.convert(self._move(command, args), Plan, "plan")

    def _change(self, command: str, args: dict[str, Any]) -> Change:
        return results.convert(self._move(command, args), Change, "proposal")

    def _pages(self, command: str, what: str) -> str:
        text, size = "", 1
        while len(text) < size:
            page = self._call(command, {"offset": len(text)})
            size = int(page.get("size", 0))
            data = str(page.get("data", ""))
            if not data and len(text) < size:
                raise LinkError(f"the {what} ends before its size", code="E_REPLY")
            text += data
        return text

    def _put(self, slot: str, text: str) -> None:
        wire.check_protocol(self.identity.protocol, self.port)
        offset, chunk = 0, _CHUNK
        while offset < len(text):
            data = text[offset : offset + chunk]
            try:
                ok = self._call("put", {"slot": slot, "offset": offset, "data": data})
            except LinkError as error:
                if error.code != "E_SIZE" or chunk < 64:
                    raise
                chunk //= 2  # quotes are escaped: this chunk would not fit into a line
                continue
            offset += len(data)
            if ok.get("size") != offset:
                raise LinkError(
                    f"the pump holds {ok.get('size')} characters, {offset} were sent",
                    code="E_REPLY",
                )
