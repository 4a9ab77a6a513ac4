"""Which trials end early: by the values of others at the same epoch."""

from __future__ import annotations

from graphspec.search.pruning import bracket_of, brackets, pruned, rungs
from graphspec.search.records import Trial


def others(*values: list[float]) -> list[Trial]:
    return [Trial(k + 1, state="complete", value=v[-1], values=v) for k, v in enumerate(values)]


def test_median_compares_the_best_so_far_with_complete_trials_at_the_same_epoch() -> None:
    known = others(*([float(k), float(k), float(k)] for k in range(1, 6)))
    assert not pruned("median", "min", 9, [9.0], 10, known), "the first tenth of the epochs is spared"
    assert pruned("median", "min", 9, [9.0, 3.5], 10, known)
    assert not pruned("median", "min", 9, [9.0, 3.0], 10, known)
    assert not pruned("median", "min", 9, [2.0, 9.0], 10, known), "it has been better"
    assert pruned("median", "max", 9, [2.0, 2.0], 10, known)
    assert not pruned("median", "min", 9, [9.0, 9.0], 10, known[:4]), "too few are known"
    assert not pruned("median", "min", 9, [9.0, 9.0], 2, known), "it has ended"
    assert pruned("median", "min", 9, [float("nan")] * 2, 10, known)
    assert not pruned("none", "min", 9, [9.0, 9.0], 10, known)


def test_hyperband_keeps_the_best_third_of_a_bracket_at_its_rungs() -> None:
    assert brackets(27) == 3
    assert [bracket_of(k, 27) for k in range(1, 5)] == [0, 1, 2, 0]
    assert [rungs(k, 27) for k in range(3)] == [[1, 3, 9], [3, 9], [9]]
    same = [Trial(k, values=[float(k)]) for k in (1, 4, 7, 10, 13)]
    assert not pruned("hyperband", "min", 16, [0.5], 27, same)
    assert not pruned("hyperband", "min", 16, [2.0], 27, same), "the second of six"
    assert pruned("hyperband", "min", 16, [5.0], 27, same)
    assert not pruned("hyperband", "max", 16, [12.0], 27, same)
    assert not pruned("hyperband", "min", 16, [5.0, 5.0], 27, same), "not a rung"
    assert not pruned("hyperband", "min", 17, [99.0, 99.0, 99.0], 27, same), "another bracket"
    assert not pruned("hyperband", "min", 1, [99.0], 27, []), "the first of all"
