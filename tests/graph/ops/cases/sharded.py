"""The entry of the operator in ``graphspec/graph/ops/sharded.py``."""

from __future__ import annotations

from graph.ops.cases.case import Elsewhere, OpCase

HERE = Elsewhere("graph/passes/test_shard_products.py")

CASES = {
    "ShardedGemm": OpCase(
        None,
        HERE,
        no_rows=HERE,
        allocates="it runs in a group of workers alone, whose steps are not measured here",
    ),
}
