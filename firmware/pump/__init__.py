"""Doseloop's pump: the one implementation that simulated board, emulated chip and hardware run."""
