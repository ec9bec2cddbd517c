"""A stand-in for the simulated board that echoes: it shows that the launcher relays.

Runs on MicroPython. Not a pump: no behaviour of the pump may be tested with it.
Each line from the port is written back twice; then it asks whether the client has read that, and
counts the answers. Control commands are answered with what was asked and that count.
"""

import json
import os
import select
import sys

options = json.loads(os.getenv("DOSELOOP_WORLD"))
port_in = sys.stdin.buffer
port_out = sys.stdout.buffer
control_in = open(3, "rb", buffering=0)
control_out = open(4, "wb", buffering=0)
synced = 0
attached = options["attached"]
poll = select.poll()
poll.register(port_in, select.POLLIN)
poll.register(control_in, select.POLLIN)
while True:
    for ready in poll.ipoll():
        if ready[0] is port_in:
            line = port_in.readline()
            if line == b"crash\n":
                sys.exit(7)
            port_out.write(line + line)
            control_out.write(b'{"sync": 1}\n')
            continue
        text = control_in.readline()
        if not text:
            sys.exit(0)
        message = json.loads(text)
        if message["do"] == "quit":
            sys.exit(0)
        if message["do"] == "attached":
            attached = message["value"]
        elif message["do"] == "synced":
            synced += 1
        else:
            answer = {"id": message["id"], "ok": True, "asked": message, "synced": synced}
            answer["attached"] = attached
            answer["serial"] = options["serial"]
            control_out.write(json.dumps(answer).encode() + b"\n")
