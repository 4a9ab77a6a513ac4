"""The codes of all problems that graphspec reports. What they mean is in ``codes.toml``.

The tables of docs/diagnostics.md are generated from both.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path


class Code(StrEnum):
    """The kind of a problem. A member is equal to its text, such as ``"GS105"``."""

    # GS1: the document.
    UNREADABLE_DOCUMENT = "GS101"
    UNKNOWN_KEY = "GS102"
    MISSING_KEY = "GS103"
    WRONG_TYPE = "GS104"
    VALUE_NOT_ALLOWED = "GS105"
    DUPLICATE_KEY = "GS106"
    DUPLICATE_NAME = "GS107"
    UNKNOWN_VARIABLE = "GS108"
    UNKNOWN_VERSION = "GS109"
    DOCUMENT_TOO_LARGE = "GS110"
    UNKNOWN_CLASS = "GS111"
    OLD_NAME = "GS112"

    # GS2: the graph.
    UNKNOWN_NODE = "GS201"
    CYCLE = "GS202"
    WRONG_INPUT_COUNT = "GS203"
    UNUSED_NODE = "GS204"
    RECURSIVE_BLOCK = "GS205"
    WRONG_SHARE = "GS206"

    # GS3: shapes.
    WRONG_RANK = "GS301"
    SHAPES_DIFFER = "GS302"
    WINDOW_TOO_LARGE = "GS303"
    SIZES_DO_NOT_FIT = "GS304"
    SIZE_NOT_FIXED = "GS305"
    WRONG_DTYPE = "GS306"
    SHARED_SHAPES_DIFFER = "GS307"
    MASK_DROPPED = "GS308"
    NO_TRAINING_KERNEL = "GS309"

    # GS4: heads.
    ACTIVATION_MISMATCH = "GS401"
    LOSS_MISMATCH = "GS402"
    METRIC_MISMATCH = "GS403"
    NOTHING_TO_TRAIN = "GS404"
    CLASSES_MISMATCH = "GS405"

    # GS5: data.
    UNREADABLE_FILE = "GS501"
    MISSING_ARRAY = "GS502"
    WRONG_ARRAY_SHAPE = "GS503"
    LOSSY_CONVERSION = "GS504"
    MISSING_VALUE = "GS505"
    OUT_OF_RANGE = "GS506"
    WRONG_LENGTH = "GS507"
    TOO_FEW_ROWS = "GS508"
    TARGET_TOO_LONG = "GS509"
    UNREADABLE_DATE = "GS510"
    CLASS_LEFT_OUT = "GS511"
    WRONG_QUERY = "GS512"
    OUTSIDE_FOLDER = "GS513"
    WEIGHTS_MISSING = "GS514"
    WEIGHT_SHAPE = "GS515"
    IRREGULAR_STEPS = "GS516"

    # GS6: the run.
    NOT_FINITE = "GS601"
    NOT_ENOUGH_MEMORY = "GS602"
    DAMAGED_RUN = "GS603"
    WORKER_DIED = "GS604"
    PREPARATION_FAILED = "GS605"
    RANKS_DIFFER = "GS606"

    # GS7: export.
    EXPORT_DIFFERS = "GS701"
    UNAVAILABLE_OPERATOR = "GS702"
    UNREADABLE_MODEL = "GS703"
    QUANTIZATION_LOSS = "GS704"

    # GS8: files of other programs.
    INVALID_FILE = "GS801"
    UNSUPPORTED_FILE = "GS802"

    @property
    def summary(self) -> str:
        """The problem in a few words."""
        return _words()[self]["summary"]

    @property
    def explanation(self) -> str:
        """When graphspec reports it."""
        return _words()[self]["explanation"]

    @property
    def remedy(self) -> str:
        """How to fix it."""
        return _words()[self]["remedy"]


@cache
def _words() -> dict[str, dict[str, str]]:
    import tomllib

    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
