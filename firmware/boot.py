# Runs after every reset. A soft one leaves pins as they were, so the motor's driver goes off here.
# Nothing may fail or take long: an endless boot.py would leave a board without USB.


def _driver_off():
    import json

    from machine import Pin

    newest = 0
    for suffix in "ab":  # firmware/pump/slots.py: the higher generation is in force
        try:
            with open("/kept/config." + suffix) as file:
                file.readline()
                generation = int(file.readline())
                if generation > newest:
                    newest = generation
                    file.readline()
                    text = file.readline()
        except (OSError, ValueError):
            pass
    board = json.loads(text)["board"]
    Pin(board["pins"]["enable"], Pin.OUT, value=1 - board["enable_active"])
    Pin(board["pins"]["step"], Pin.OUT, value=0)


try:
    _driver_off()
except Exception:
    pass  # no configuration: no pins of ours
del _driver_off
