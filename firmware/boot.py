# Runs after every reset. A soft one leaves pins as they were, so the motor's driver goes off here.
# Nothing may fail or take long: an endless boot.py would leave a board without USB.
try:
    import json

    from machine import Pin

    with open("/config.sealed") as _file:
        _file.readline()
        _board = json.loads(_file.readline())["board"]
    Pin(_board["pins"]["enable"], Pin.OUT, value=1 - _board["enable_active"])
    Pin(_board["pins"]["step"], Pin.OUT, value=0)
except Exception:
    pass  # no configuration: no pins of ours
