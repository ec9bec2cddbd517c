"""`python -m doseloop` is the command `doseloop`."""

from doseloop.cli.main import main

main()
