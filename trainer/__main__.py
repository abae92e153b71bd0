"""`python -m trainer COMMAND ...`: the same as `stacked-trainer COMMAND ...`."""

import sys

try:
    from trainer.cli import main

    code = main()
except KeyboardInterrupt:  # before anything was there to listen to it
    code = 130
sys.exit(code)
