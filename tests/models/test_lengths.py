"""Networks that people write are about as long as specs as they are as statements of PyTorch."""

from __future__ import annotations

from statistics import median

from short_models import all_lengths, spec_lines, statements


def test_specs_are_about_as_long_as_the_code() -> None:
    ratios = {name: lines / count for name, (lines, count) in all_lengths().items()}
    table = "\n".join(f"{ratio:5.2f} {name}" for name, ratio in sorted(ratios.items(), key=lambda pair: -pair[1]))
    assert median(ratios.values()) <= 1.6, table
    assert max(ratios.values()) <= 2.5, table


def test_lines_and_statements_are_counted() -> None:
    def reference(x: float) -> float:
        """Twice."""
        y, z = x, x  # one statement
        for _ in range(2):
            y = y + z
        return y

    spec = """
    inputs: {x: {shape: [1]}}
    vars: {width: 2}

    layers:
      # a comment
      - {name: y, type: Formula, value: "x + x"}
      - name: z
        type: Identity
    outputs: {z: {loss: value}}
    """
    assert (spec_lines(spec), spec_lines({"a": "x", "b": "a + 1"}), statements(reference)) == (4, 2, 4)
