"""Starts the pump: main.py calls main(). What the pump is made of is root.py's."""


def main():
    """Run the pump; return to the REPL only when a person asked for it."""
    import gc

    from pump.hal import modules

    modules.find_at_once()
    from pump.hal import registers

    # The step queue's 16 kB must lie at a multiple of their size, and the heap is still whole.
    registers.reserve(registers.QUEUE_BYTES)

    # Garbage is collected before it has spread over the whole heap: a large piece stays free.
    gc.threshold(40_000)
    from pump.root import App

    app = App()
    try:
        app.loop()
    except BaseException:  # not an Exception: those end inside loop()
        app.off()
        raise
