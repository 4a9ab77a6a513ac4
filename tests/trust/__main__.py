"""``python -m tests.trust``: all attacks for a while. See ``--help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))  # as pytest has it: attacks use the tests' helpers

from trust.frame import main

if __name__ == "__main__":
    sys.exit(main())
