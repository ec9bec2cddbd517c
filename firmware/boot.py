# Nothing here: an endless boot.py would leave a board without USB. main.py starts the pump.
