"""Parts of vectors that ranks send to each other in pieces."""

from __future__ import annotations

import pytest
from mpi import job, why_not

pytestmark = pytest.mark.slow

_SCRIPT = """
import numpy as np
from graphspec.engine.parallel.ranks import connect
from graphspec.engine.parallel.ranks import PIECE, Pieces

ranks = connect(None)
sizes = [0, 3, PIECE // 2 + 1][: ranks.size]  # numbers of 4 bytes that a rank receives: none, one piece, three pieces
sent = [np.zeros(size, np.float32) for size in sizes]
received = [np.zeros(sizes[ranks.rank], np.float32) for _ in sizes]
pieces = Pieces(ranks, 1, sent, received)
pieces.finish()  # nothing was started
for turn in range(3):
    for k, array in enumerate(sent):
        array[...] = np.arange(array.size) + 100 * turn + 10 * ranks.rank + k
    pieces.start()
    ranks.comm.Barrier()
    pieces.finish()
    pieces.finish()
    for k, array in enumerate(received):
        expected = np.arange(array.size) + np.float32(100 * turn + 10 * k + ranks.rank)
        assert (array == (expected if k != ranks.rank else 0)).all(), (turn, k)
print("done", len(pieces._requests))
"""


def test_pieces_arrive_in_their_places() -> None:
    """Ranks that receive nothing, one piece and three pieces from each of two others, and send to them."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    result = job(["-c", _SCRIPT], ranks=3)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == ["done 4", "done 5", "done 7"]
