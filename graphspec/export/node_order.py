"""Whether the nodes of a file can be computed in the order in which they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphspec.graph.onnx_session import sanitized

_SHOWN_PATH = 6  # values of a cycle


def check_order(nodes: Sequence[tuple[Sequence[str], Sequence[str]]], known: Collection[str]) -> None:
    """Raise ValueError if a value is computed twice or not at all, or depends on itself."""
    maker: dict[str, int] = {}
    for k, (_, results) in enumerate(nodes):
        for name in results:
            if name in maker:
                raise ValueError(f"two nodes compute '{sanitized(name)}'")
            maker[name] = k
    ready, in_order = set(known), True
    for needs, results in nodes:
        in_order = in_order and ready.issuperset(needs)
        ready.update(results)
    if in_order:
        return
    for needs, _ in nodes:
        if lost := [name for name in needs if name not in maker and name not in known]:
            raise ValueError(f"nothing computes '{sanitized(lost[0])}', which a node reads")
    state = [0] * len(nodes)  # 1: on the path, 2: done
    for start in range(len(nodes)):
        path: list[tuple[int, Iterator[str]]] = [] if state[start] else [(start, iter(nodes[start][0]))]
        while path:
            k, needs_left = path[-1]
            state[k] = 1
            other = next((maker[n] for n in needs_left if n in maker and state[maker[n]] != 2), None)
            if other is None:
                state[k] = 2
                path.pop()
            elif state[other] == 1:
                cycle = [i for i, _ in path]
                cycle = cycle[cycle.index(other) :]
                shown = [sanitized(nodes[i][1][0]) for i in cycle[:_SHOWN_PATH]]
                more = [] if len(cycle) <= _SHOWN_PATH else ["…"]
                raise ValueError(f"its nodes depend on themselves: {' → '.join([*shown, *more, shown[0]])}")
            else:
                path.append((other, iter(nodes[other][0])))
    raise ValueError("its nodes are not in an order in which they can be computed")
