"""``python -m tests.trust``: all attacks for a while. See ``--help``."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("support", "")]  # as pytest has it: the tests' helpers

from trust.frame import main

if __name__ == "__main__":
    sys.exit(main())
