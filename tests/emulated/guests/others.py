# Runs on the board, without the pump: the same beat as people make it with MicroPython's own means.
# ruff: noqa
import gc, json, time, machine

step = machine.Pin(2, machine.Pin.OUT, value=0)
kept = []


def busy(loaded):
    while True:
        if loaded:
            gc.collect()
            print(json.dumps({"state": "infusing", "steps": list(range(20))}))


def toggle(t):
    step.toggle()


def timer_soft(hz, loaded):
    kept.append(
        machine.Timer(freq=2 * hz, mode=machine.Timer.PERIODIC, callback=toggle, hard=False)
    )
    busy(loaded)


def timer_hard(hz, loaded):
    kept.append(
        machine.Timer(freq=2 * hz, mode=machine.Timer.PERIODIC, callback=toggle, hard=True)
    )
    busy(loaded)


def pwm(hz, loaded):
    try:
        kept.append(machine.PWM(step, freq=hz, duty_u16=32768))
    except ValueError as error:
        print("refused", error)
        return
    busy(loaded)
