"""What a graph is: types, values, operator nodes, parameters, symbolic dimensions."""
