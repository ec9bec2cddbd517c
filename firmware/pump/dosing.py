"""Doses on top of a run: asked for by a clinician or by the patient, with a command or a button.

The part of the controller between what follows by itself (course.py) and all other requests
(controller.py). Which dose is under way is bolus.py's, who may have one patient.py's.
"""

# A part of a class: what the others set and have, a type checker can't see here.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from pump import borrow, states
from pump.alarms import text_of
from pump.attention import Attention
from pump.errors import Refused


class Dosing(Attention):
    """What gives a dose, or says why not."""

    def bolus_now(self, volume_al, rate_al_per_h, duration_ms=None):
        """Give a dose on top of the run, at a rate or spread evenly over a duration; the order's
        own rate and volume stay. Whether it may be is changes.py's to say."""
        rate = borrow.changes().admit_dose(self, volume_al, rate_al_per_h, duration_ms)
        return self._give(volume_al, rate, duration_ms is not None)

    def demand(self, trusted=True):
        """The patient asks for a dose: given, or denied with the reason; both are counted, also
        before the order has begun and after its end. trusted: False for a button that was stuck.
        """
        if self.state == states.READY and self.order.steps[0].pca is not None:
            self._unmet += 1
            self._events.add("denied", why="state")
            raise Refused("E_STATE", "the order has not begun", next_step="start it")
        if not self._controlled():
            raise Refused("E_STATE", "no run is patient-controlled", next_step="see `status`")
        self._need_history()
        ready = trusted and not self.run.ended and self._then is None
        ready = ready and not self.motor.taking_up and self.motor.blocked(1) is None
        # The dose may share a step with the basal rate: a step less than there is.
        dose = self._patient.demand((self.motor.room(1) - 1) * self.motor.al, ready)
        if dose is not None:
            self._give(*dose)
        return dict(self._patient.view(False), given_now=dose is not None)

    def pca(self):
        """Return what the patient asked for and got, and what the limits leave."""
        if self._patient is None:
            raise Refused("E_STATE", "no order was patient-controlled", next_step="see `status`")
        self._need_history()
        return self._patient.view(True)

    def _give(self, volume_al, rate_al_per_h, square=False):
        self._bolus.want(volume_al, rate_al_per_h, square)
        if self.state == states.PAUSED:
            self._leave_pause()
            self._bolus.begin(self.run)
            self._next_leg()
        else:
            self._halt("bolus")
        return {"volume_al": volume_al, "rate_al_per_h": rate_al_per_h}

    # -- the patient --------------------------------------------------------------------------

    def _prescribe(self, unmet):
        if self._patient is None:
            from pump.patient import Patient

            self._patient = Patient(self._clock, self._events, self._alarms, self._storage)
        most = self.config["limits"]["rate_max_al_per_h"]
        step = self.order.steps[0]
        # A change of rate outlives a reset in the run's item, not in its order.
        basal = step.rate if unmet is not None else self.run.item().rate
        self._patient.prescribe(step, basal, most, unmet)

    def _recall_patient(self):
        try:
            self._prescribe(None)
        except Refused:
            pass  # the alarm says it; resume() asks again, after a person has cleared it

    def _need_history(self):
        """After a reset the record of what was given may be damaged: that is for a person."""
        if not self._patient.ready:
            raise Refused("E_STORE", "what was given is not known", next_step="`clear`, `resume`")

    def _see_button(self):
        """A press is the patient's demand; without a patient's order it is nothing."""
        for _ in range(self.button.look()):
            try:
                # One that was stuck is not to be trusted until a person has seen to it (C19).
                given = self.demand(not self._alarms.stands("A_BUTTON"))["given_now"]
            except Refused:
                given = False
            if not given:
                self._alarms.service(True)  # E14
        if self.button.stuck:
            self._alarm("A_BUTTON")

    def _forget_button(self):
        """Something begins: a button that is down by now gives nothing until it was up."""
        if self.button is not None:
            self._see_button()
            self.button.forget()

    # -- may it? ------------------------------------------------------------------------------

    def _check_way(self, way):
        code, why = self.motor.blocked(way or 1), None
        if code == "A_END_SWITCH" and not way:
            code = None
        if code is None and self.guard is not None and not self.motor.moving:
            code, why = self.guard.ready()  # pyright: ignore[reportGeneralTypeIssues]
        if code is not None:
            # The error of a refused start is called as the alarm would be in motion.
            error = "E_STOP_OPEN" if code == "A_STOP_INPUT" else "E" + code[1:]
            text = text_of(code)
            raise Refused(error, text + ": " + why if why else text)

    def _need_run(self, request):
        """An order is under way, moving or not. Keeping the vein open after one is none."""
        self._need(request)
        if self.run.ended:
            raise Refused("E_STATE", "not while %s" % self.state)
