"""The order of nodes: cycles, values that nothing computes, values that two nodes compute."""

from __future__ import annotations

import pytest

from graphspec.vocabulary.onnx_files.model_file import check_order


def nodes(*each: tuple[list[str], list[str]]) -> list[tuple[str, list[str], list[str]]]:
    return [("".join(results), needs, results) for needs, results in each]


def test_an_order_in_which_nodes_can_be_computed() -> None:
    check_order(nodes((["x"], ["a"]), (["a", "x"], ["b", "c"]), (["c"], [])), {"x"})
    check_order([], set())


def test_a_cycle_is_shown() -> None:
    given = nodes((["x"], ["a"]), (["a", "d"], ["b"]), (["b"], ["c"]), (["c"], ["d"]))
    with pytest.raises(ValueError, match=r"depend on themselves: b ← d ← c ← b"):
        check_order(given, {"x"})


@pytest.mark.slow
def test_a_long_chain_is_no_deep_recursion() -> None:
    chain = nodes(*(([f"v{k + 1}"], [f"v{k}"]) for k in range(50_000)))
    with pytest.raises(ValueError, match="v0 stands before the node that computes 'v1'"):
        check_order(chain, {"v50000"})
    with pytest.raises(ValueError, match="depend on themselves"):
        check_order([*chain, *nodes((["v0"], ["v50000"]))], set())


def test_what_is_lost_and_what_is_there_twice() -> None:
    with pytest.raises(ValueError, match="nothing computes 'b', which a reads"):
        check_order(nodes((["b"], ["a"])), {"x"})
    with pytest.raises(ValueError, match="a computes 'a', which exists already"):
        check_order(nodes((["x"], ["a"]), (["x"], ["a"])), {"x"})
    with pytest.raises(ValueError, match="a computes 'a', which exists already"):
        check_order(nodes((["x"], ["a"])), {"x"}, {"a"})
