"""The graph: types, values, operator nodes, parameters, symbolic dimensions."""
