"""Train what a YAML file says: `python scripts/run.py CONFIG [key=value ...]`, from any folder.

The same as `stacked-trainer run CONFIG ...`, and it needs no installed package, only its
dependencies.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    try:
        from trainer.cli import main

        code = main(["run", *sys.argv[1:]])
    except KeyboardInterrupt:  # before anything was there to listen to it
        code = 130
    sys.exit(code)
