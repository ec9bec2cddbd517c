"""Start and serve the simulated board: pseudo-terminal, registry, control socket.

No pump logic lives here: `device/` is what MicroPython runs, together with the real firmware.
"""
