"""The only part of the firmware that knows pins, PIO, DMA, timers and flash."""
