"""The entry of the operator in ``graphspec/ops/sharded.py``."""

from __future__ import annotations

from ops.cases.case import Elsewhere, OpCase

HERE = Elsewhere("graph/passes/test_shard_products.py")

CASES = {
    "ShardedGemm": OpCase(
        None,
        HERE,
        no_rows="every worker that divides products has rows",
        allocates="it writes to memory that the workers share, which is there before the first step",
    ),
}
