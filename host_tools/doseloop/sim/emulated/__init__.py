"""The emulated board: the genuine MicroPython image in an RP2040 emulator, on a pseudo-terminal.

In the order a start takes: `image` (which MicroPython), `chip` (the one user of rp2040py),
`prompt` and `placing` (firmware and configuration onto its flash, as a deploy would),
`bench` (what is wired to its pins), `server` (the port, in step with real time).
docs/decisions/0006-emulated-board.md says what may be concluded from it, and what may not.
"""

# What the registry of running pumps calls such a board; who waits for one must be patient.
BOARD = "board (emulated RP2040)"
