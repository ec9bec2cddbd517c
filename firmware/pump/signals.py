"""What sounds and lights now, so that it is begun once. Imported where a board has the pins."""

from pump import borrow


class Signals:
    """Lets the annunciator (hal/annunciator.py) say what stands; asked in every pass of main."""

    def __init__(self, annunciator):
        self._play = annunciator.play
        self._shown = (None, False)

    def show(self, rank, silent, hint=False):
        """Sound and light as one of this rank, the highest; None: nothing stands.

        hint: a short sound first, that what was asked is refused (GIP 3.2.4); none while an alarm
        sounds.
        """
        if hint and rank is not None and not silent:
            return
        if hint or (rank, silent) != self._shown:
            self._shown = rank, silent
            plan = borrow.signal_plan()
            words = () if rank is None else plan.pattern(rank, silent)
            first = ()
            if hint:
                first = (plan.HINT | words[0] & 3,) if words else (plan.HINT, 0)
            self._play(words, True, first)

    def test(self):
        """Every sound and lamp once; return how long, in ms. Ends by itself."""
        words, ms = borrow.signal_plan().test()
        self._play(words, False)
        return ms
