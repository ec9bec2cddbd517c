"""Put the firmware on a board: compile, compare, send what changed, switch in one step, prove it.

In the order the bytes travel: `build` (sources to .mpy and a manifest), `plan` (what a board
lacks), `board` (the one user of mpremote), `scripts` (what runs on the board), `deploy` (the
sequence), `guard` (never while a pump works), `uf2` (MicroPython itself). The contract with
boot.py and main.py is docs/deploy.md. Printing and asking belong to cli/flash.py.
"""
