"""The bench model: pins, driver, screw, backlash, plunger, end switches, stop input, faults.

Pin-level and physical; it knows no dose. Positions are microsteps of the motor, infusing counted
up, from where the motor stood when the simulation began.
"""

import micropython
from power import Heat, Supply
from tmc2209 import HOT, SHORT, Tmc2209

# Faults of what not every board has, and the pin that it needs for each.
_NEEDS = {"syringe_out": "clamp", "driver": "uart_tx", "overtemp": "temperature",
          "battery": "battery", "supply": "battery"}  # fmt: skip
_HEAT = (None, "cut", "chip")
_WIRES = (None, "stop", "dir")
_DRIVER = ("silent", "stuck", "noise", "short", "reset")


class Board:
    """``geometry``: dict with dir and end pins, levels, travel and backlash in microsteps."""

    def __init__(self, geometry, trace=None):
        self.unique_id = geometry["unique_id"]
        self._geometry = geometry
        self._levels = {}
        self._pulls = {}
        self.on_inputs = lambda: None
        self.faults = {}
        self._trace = trace
        self._lines = []
        self.position = 0  # of the motor
        self.plunger = 0  # of the pusher, behind the backlash
        self._origin = 0  # where the syringe in place was mounted; the switches count from it
        self.edges = 0
        self.lost = 0
        self.stop_pressed = False
        self.bolus_pressed = False
        self._watched = None  # the bolus pin's interrupt, and its level as last told
        self._was = 0
        self.step_pin = None
        self.step_level = lambda: 0
        self._way = 1
        self.now = lambda: 0  # us; set by world.py
        self._equip()

    def _equip(self):
        """What is there beside the mechanics, by the configuration: driver chip, supply, heat."""
        chip, supply = self._geometry.get("tmc2209"), self._geometry.get("supply")
        self._driver = None
        if chip is not None:
            self._driver = Tmc2209(chip["address"], 256 >> chip["mres"])
        self._supply = None if supply is None else Supply(supply["full_mv"])
        self._heat = Heat()
        self.line = None  # hydraulics.Hydraulics, once world.py has filled it

    def release_pins(self):
        """Reset: every pin is an input again; the driver's pull-up switches it off."""
        self._levels = {}
        self._watched = None
        self.on_inputs()

    def reshape(self, geometry):
        """Another configuration came into force: other pins, another mechanism."""
        geometry["unique_id"] = self.unique_id
        was, self._geometry = self._geometry, geometry
        if any(was.get(key) != geometry.get(key) for key in ("tmc2209", "supply")):
            self._equip()
        self.on_inputs()

    def mount(self):
        """A person has put a syringe in: the pusher touches its plunger, the travel is new."""
        self.plunger = self.position
        self._origin = self.position
        self.on_inputs()

    # -- what is behind the plunger -----------------------------------------------------------

    def line_at(self, now):
        """Return the line as it stands now, or raise ValueError where there is none."""
        if self.line is None:
            raise ValueError("this board has no syringe: give it a configuration")
        self.line.advance(self.plunger, now)
        return self.line

    # -- pins ---------------------------------------------------------------------------------

    def drive(self, number, level):
        self._levels[number] = level
        if self._driver is not None and number == self._geometry["enable"] and not self.enabled():
            self._driver.disabled()
        if number == self._geometry["dir"]:
            self._steer()

    def _steer(self):
        """The level at the driver's DIR: a cut wire leaves it to the driver's own resistor."""
        cut = self.faults.get("open_wire") == "dir"
        level = 0 if cut else self._levels.get(self._geometry["dir"], 0)
        self._way = 1 if level == self._geometry["dir_infuse"] else -1
        if self._driver is not None:
            self._driver.dir = level

    def pull(self, number, pull):
        self._pulls[number] = 1 if pull == 1 else 0
        self.on_inputs()

    def level(self, number):
        geometry = self._geometry
        if number is None:
            return 0
        if number == self.step_pin:
            return self.step_level()
        if number == geometry["stop"]:
            return 1 if self.stop_pressed or self.faults.get("open_wire") == "stop" else 0
        if number == geometry["bolus"]:
            pressed = self.bolus_pressed or "button_stuck" in self.faults
            return geometry["bolus_pressed"] if pressed else 1 - geometry["bolus_pressed"]
        if number == geometry["end_front"]:
            return self._switch(self.plunger - self._origin >= geometry["travel_front"], "front")
        if number == geometry["end_back"]:
            return self._switch(self.plunger - self._origin <= geometry["travel_back"], "back")
        if number == geometry.get("clamp"):
            return 1 if "syringe_out" in self.faults else 0
        if number == geometry.get("diag"):
            return self._driver.diag()
        return self._levels.get(number, self._pulls.get(number, 0))

    def analog(self, number):
        """Return what the ADC reads at a GPIO, 16 bits."""
        if number is not None and number == self._geometry.get("battery"):
            return self._supply.read_u16(self.now())
        if number is not None and number == self._geometry.get("temperature"):
            return self._heat.read_u16(self.now(), self.enabled())
        if number is not None and number == self._geometry.get("force"):
            return self.line_at(self.now()).counts()
        raise ValueError("nothing analog at this pin: %s" % number)

    def uart(self, tx, data):
        """Return what comes back on a one-wire line: what was sent, and the driver's answer."""
        if tx != self._geometry.get("uart_tx"):
            raise ValueError("nothing on this UART: %s" % tx)
        fault = self.faults.get("driver")
        if fault == "stuck":
            return b"\0"
        if fault == "silent":
            return data
        answer = self._driver.receive(data)
        if fault == "noise" and answer:
            answer = answer[:4] + bytes((answer[4] ^ 1,)) + answer[5:]
        return data + answer

    def _switch(self, hit, which):
        fault = self.faults.get("end_switch", False)
        forced = fault is None or fault == which
        return self._geometry["end_open"] if hit or forced else 1 - self._geometry["end_open"]

    def inputs(self):
        """Return the GPIO input register."""
        value = 0
        for name in ("stop", "end_front", "end_back", "clamp", "diag"):
            number = self._geometry.get(name)
            if number is not None and self.level(number):
                value |= 1 << number
        return value

    def enabled(self):
        """True when the driver powers the motor."""
        return self._levels.get(self._geometry["enable"]) == self._geometry["enable_active"]

    # -- motion -------------------------------------------------------------------------------

    @micropython.native
    def step_edge(self, now):
        """A rising edge left the chip at ``now`` us. Return True when it reached the STEP wire."""
        lost = self.faults.get("step_lost")
        if lost:
            # A broken contact: the edge is on neither the driver's input nor the witness's.
            self.lost += 1
            if lost == 1:
                del self.faults["step_lost"]
            else:
                self.faults["step_lost"] = lost - 1
            return False
        self.edges += 1
        if self.enabled():
            way = self._way
            self.position += way
            if "stall" not in self.faults:
                self._push(way)
            elif self._driver is not None and self._driver.step(now):
                self.on_inputs()
        if self._trace is not None:
            lines = self._lines
            lines.append("%d000 %d\n" % (now, self.position))
            if len(lines) >= 512:
                self.flush()
        return True

    @micropython.native
    def _push(self, way):
        # The nut moves within the backlash before it pushes the plunger; at rest it touches in
        # the infusing direction.
        gap = self._geometry["backlash"]
        plunger = self.plunger
        if way > 0:
            moved = self.position > plunger
            if moved:
                self.plunger = self.position
        else:
            moved = self.position + gap < plunger
            if moved:
                self.plunger = self.position + gap
        if moved:
            self._ends(plunger)

    def _ends(self, before):
        geometry = self._geometry
        front = geometry["travel_front"] + self._origin
        back = geometry["travel_back"] + self._origin
        if (before >= front) != (self.plunger >= front) or (before <= back) != (
            self.plunger <= back
        ):
            self.on_inputs()

    def flush(self):
        """Write the trace so far."""
        if self._trace is not None and self._lines:
            self._trace.write("".join(self._lines))
            self._trace.flush()
        self._lines = []

    # -- faults -------------------------------------------------------------------------------

    def press_stop(self, pressed):
        self.stop_pressed = pressed
        self.on_inputs()

    def need_button(self):
        """Raise ValueError when this board has no bolus button."""
        if self._geometry["bolus"] is None:
            raise ValueError("this board has no bolus button")

    def press_bolus(self, pressed):
        self.bolus_pressed = pressed
        self._bolus_edge()

    def watch(self, number, edge):
        """``edge(level)`` is the interrupt of a pin; the bolus button's is the one there is."""
        if number != self._geometry["bolus"]:
            raise ValueError("no edges on this pin: %s" % number)
        self._watched = edge
        self._was = self.level(number)

    def _bolus_edge(self):
        level = self.level(self._geometry["bolus"])
        if level != self._was:
            self._was = level
            if self._watched is not None:
                self._watched(level)

    def check_fault(self, name, value):
        """Raise ValueError for a fault of what this board has not, or a value it can't have."""
        if name == "button_stuck":
            self.need_button()
        needs = "uart_tx" if name == "overtemp" and value == "chip" else _NEEDS.get(name)
        if needs is not None and self._geometry.get(needs) is None:
            raise ValueError("this board has no " + needs)
        if name == "end_switch" and value not in (None, "front", "back"):
            raise ValueError("end_switch takes front or back")
        if name == "open_wire" and value not in _WIRES:
            raise ValueError("open_wire takes stop or dir")
        if name == "driver" and value not in _DRIVER:
            raise ValueError("driver takes one of " + " ".join(_DRIVER))
        number = name in ("battery", "supply") or name == "overtemp" and value not in _HEAT
        if number and value is not None and not value.isdigit():
            raise ValueError("%s takes a whole number, not %s" % (name, value))
        if name == "supply" and value is None:
            raise ValueError("supply takes its voltage in mV")

    def fault(self, name, value):
        """Switch a fault on; value is text or None."""
        self.check_fault(name, value)
        if name == "step_lost":
            self.faults[name] = int(value or "20")
        elif name == "end_switch":
            self.faults[name] = value
        elif name == "open_wire":
            self.faults[name] = value or "stop"
            self._steer()
        else:
            self._equipment(name, value)
            self.faults[name] = value or True
            self._bolus_edge()
        self.on_inputs()

    def _equipment(self, name, value):
        if name == "stall":
            if self._driver is not None:
                self._driver.load = 100
        elif name == "driver":
            if value == "short":
                self._driver.status |= SHORT
            elif value == "reset":
                self._driver.power_up()
        elif name == "overtemp":
            if value == "cut":
                self._heat.cut = True
            elif value == "chip":
                self._driver.status |= HOT
            else:
                self._heat.overheat(value and int(value))
        elif name == "battery":
            self._supply.on_battery(self.now(), value and int(value))
        elif name == "supply":
            self._supply.forced_mv = int(value)

    def clear(self, name):
        self.faults.pop(name, None)
        self._steer()
        if self._driver is not None and name in ("stall", "driver", "overtemp"):
            self._driver.load = 20
            self._driver.status = 0
            self._driver.disabled()
        if name == "overtemp":
            self._heat.over, self._heat.cut = None, False
        elif name == "battery" and self._supply is not None:
            self._supply.plug_in()
        elif name == "supply" and self._supply is not None:
            self._supply.forced_mv = None
        self._bolus_edge()
        self.on_inputs()
