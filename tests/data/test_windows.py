"""Windows over series: which there are, that they are views, and that no split shares a value."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from data.sources import diagnostics, rows, written

import graphspec
from graphspec.base.errors import SpecError
from graphspec.data.batches import BatchLoader, split_at_origins, split_by_time
from graphspec.data.new_rows import read_inputs
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type

ONE = DataSignature({"x": Type("float32", ("N", 3))}, {"y": Type("float32", ("N", 2))})
WINDOWS = "windows: {length: 3, horizon: 2}\ninputs: {x: v}\ntargets: {y: v}"


def series(path: Path, values: list[float], extra: str = "") -> None:
    path.write_text(f"v{',' + extra.split('=')[0] if extra else ''}\n" + "".join(f"{v}\n" for v in values))


def table(path: Path, header: str, lines: list[str]) -> None:
    path.write_text(header + "\n" + "\n".join(lines) + "\n")


def taken(arrays: object, part: str, name: str) -> list[object]:
    """Return the rows of an array that belong to the data."""
    array = getattr(arrays, part)[name]
    chosen = getattr(arrays, "chosen")  # noqa: B009
    return (array if chosen is None else array[chosen]).tolist()


def test_inputs_are_the_past_and_targets_the_future(tmp_path: Path) -> None:
    series(tmp_path / "s.csv", [0, 1, 2, 3, 4, 5, 6])
    arrays = rows(written(tmp_path, f"file: s.csv\n{WINDOWS}"), ONE)
    assert arrays.inputs["x"].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert arrays.targets["y"].tolist() == [[3, 4], [4, 5], [5, 6]]
    assert len(rows(written(tmp_path, f"file: s.csv\n{WINDOWS}"), ONE, max_rows=2)) == 2


def test_windows_are_views(tmp_path: Path) -> None:
    series(tmp_path / "s.csv", list(range(200)))
    arrays = rows(written(tmp_path, f"file: s.csv\n{WINDOWS}"), ONE)
    x = arrays.inputs["x"]
    assert x.strides == (4, 4)
    loader = BatchLoader(arrays, 8, shuffle=True, seed=1)
    loader.start(0)
    feeds = {"x": np.zeros((8, 3), np.float32), "y": np.zeros((8, 2), np.float32)}
    loader.copy(3, feeds)
    assert (np.diff(np.hstack([feeds["x"], feeds["y"]]), axis=1) == 1).all()


def test_a_stride_and_groups(tmp_path: Path) -> None:
    lines = [
        f"{t},{g},{v}" for g, v, n in (("b", 100, 7), ("a", 0, 6), ("c", 200, 4)) for t, v in enumerate(range(v, v + n))
    ]
    rng = np.random.default_rng(0)
    table(tmp_path / "s.csv", "t,g,v", rng.permutation(lines).tolist())
    text = "windows: {length: 3, horizon: 2, stride: 2, group: g, order: t}\ninputs: {x: v}\ntargets: {y: v}"
    arrays = rows(written(tmp_path, f"file: s.csv\n{text}"), ONE)
    assert len(arrays) == 3
    assert taken(arrays, "inputs", "x") == [[0, 1, 2], [100, 101, 102], [102, 103, 104]]
    assert taken(arrays, "targets", "y") == [[3, 4], [103, 104], [105, 106]]


@pytest.mark.parametrize(("shape", "columns"), [((3, 2), "[v, w]"), ((3, 1), "v"), ((3, 1), "[v]")])
def test_several_columns(tmp_path: Path, shape: tuple[int, int], columns: str) -> None:
    table(tmp_path / "s.csv", "v,w", [f"{k},{-k}" for k in range(6)])
    wanted = DataSignature({"x": Type("float32", ("N", *shape))}, {"y": Type("float32", ("N", 1))})
    text = f"windows: {{length: 3}}\ninputs: {{x: {columns}}}\ntargets: {{y: w}}"
    arrays = rows(written(tmp_path, f"file: s.csv\n{text}"), wanted)
    assert arrays.inputs["x"].shape == (3, *shape)
    assert arrays.inputs["x"][1, :, -1].tolist() == ([-1, -2, -3] if shape[1] == 2 else [1, 2, 3])
    assert arrays.targets["y"].tolist() == [[-3], [-4], [-5]]


def test_classes_and_several_targets(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "v,w,k", [f"{k},{-k},{'up' if k % 2 else 'down'}" for k in range(6)])
    wanted = DataSignature(
        {"x": Type("float32", ("N", 3))},
        {"y": Type("int64", ("N",)), "z": Type("float32", ("N", 2))},
        classes={"y": 2},
        labels={"y": ["down", "up"]},
    )
    text = "windows: {length: 3}\ninputs: {x: v}\ntargets: {y: k, z: [v, w]}"
    arrays = rows(written(tmp_path, f"file: s.csv\n{text}"), wanted)
    assert arrays.targets["y"].tolist() == [1, 0, 1]
    assert arrays.targets["z"].tolist() == [[3, -3], [4, -4], [5, -5]]


STAMPS = [datetime(2024, 1, 31, 22) + timedelta(hours=k) for k in range(12)]


@pytest.mark.parametrize("kind", ["iso", "space", "zone", "number", "parquet", "nanoseconds", "date"])
def test_orders(tmp_path: Path, kind: str) -> None:
    mixed = np.random.default_rng(3).permutation(12).tolist()
    shown = {
        "iso": lambda k: STAMPS[k].isoformat(),
        "space": lambda k: str(STAMPS[k]),
        "zone": lambda k: (
            f"{STAMPS[k].isoformat()}Z" if k % 2 else f"{(STAMPS[k] + timedelta(hours=2)).isoformat()}+02:00"
        ),
        "number": lambda k: str(k - 5),
    }
    name = "s.csv" if kind in shown else "s.parquet"
    if kind in shown:
        table(tmp_path / name, "t,v", [f"{shown[kind](k)},{k}" for k in mixed])
    else:
        sql = {"parquet": "TIMESTAMP", "nanoseconds": "TIMESTAMP_NS", "date": "DATE"}[kind]
        stamps = [STAMPS[0] + timedelta(days=k) if kind == "date" else STAMPS[k] for k in range(12)]
        listed = ", ".join(f"('{stamps[k]}'::{sql}, {k})" for k in mixed)
        duckdb.sql(f"SELECT * FROM (VALUES {listed}) s(t, v)").write_parquet(str(tmp_path / name))
    text = f"file: {name}\n" + WINDOWS.replace("2}", "2, order: t}", 1)
    assert rows(written(tmp_path, text), ONE).inputs["x"][:, 0].tolist() == list(range(8))


def test_a_query_and_a_pattern(tmp_path: Path) -> None:
    for name, values in (("a", range(4)), ("b", range(4, 8))):
        table(tmp_path / f"{name}.csv", "t,v", [f"{k},{k}" for k in values])
    text = WINDOWS.replace("2}", "2, order: t}", 1)
    for source in ("query: SELECT * FROM '*.csv' WHERE v < 7", "file: '?.csv'"):
        assert len(rows(written(tmp_path, f"{source}\n{text}"), ONE)) == (3 if "query" in source else 4)


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        (["1,0", "2,1", "1,2", "3,3", "4,4"], "GS105", "has the same 't' in line 2 and in line 4"),
        (["1,0", ",1", "3,2", "4,3", "5,4"], "GS505", "has no 't' in line 3"),
        (["1,0", "soon,1", "3,2", "4,3", "5,4"], "GS504", "has '1' as 't' in line 2"),
        (["2024-01-01,0", "2024-01-02T00:00Z,1", "2024-01-03,2"], "GS504", "with and without a time zone"),
        (["1,0", "2,1", "3,", "4,3", "5,4"], "GS505", "first: line 4"),
        (["1,0", "2,1", "3,2", "4,3"], "GS508", "a window needs 5 rows, the longest series has 4"),
    ],
)
def test_problems(tmp_path: Path, lines: list[str], code: str, message: str) -> None:
    table(tmp_path / "s.csv", "t,v", lines)
    found = diagnostics(written(tmp_path, "file: s.csv\n" + WINDOWS.replace("2}", "2, order: t}", 1)), ONE)
    assert {d.code for d in found} == {code}
    assert message in found[0].message


def test_too_few_rows_are_too_few_for_predictions_too(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "t,v", ["1,0", "2,1", "3,2"])
    [found] = diagnostics(written(tmp_path, "file: s.csv\n" + WINDOWS), ONE)
    assert found.hint == "give at least 5 rows of one series, or use a smaller `length` or `horizon`"


def test_columns_and_sources_that_do_not_fit(tmp_path: Path) -> None:
    series(tmp_path / "s.csv", list(range(9)))
    [found] = diagnostics(written(tmp_path, "file: s.csv\n" + WINDOWS.replace("2}", "2, group: g}", 1)), ONE)
    assert (found.code, "'g' for `group`" in found.message) == ("GS502", True)
    [found] = diagnostics(
        written(tmp_path, "file: s.csv\nwindows: {length: 4, horizon: 2}\ninputs: {x: v}\ntargets: {y: v}"), ONE
    )
    assert (found.code, "has shape (6, 4)" not in found.message, "(N, 3)" in found.message) == ("GS503", True, True)
    np.savez(tmp_path / "s.npz", v=np.arange(9.0), t=np.arange(9))
    [found] = diagnostics(written(tmp_path, "file: s.npz\n" + WINDOWS.replace("2}", "2, order: t}", 1)), ONE)
    assert (found.code, "is no table" in found.message) == ("GS105", True)


def test_a_split_by_time_shares_no_target(tmp_path: Path) -> None:
    lines = [f"{t},{g},{100 * k + t}" for k, g in enumerate("abc") for t in range(5 * k, 40)]
    table(tmp_path / "s.csv", "t,g,v", lines)
    text = "windows: {length: 3, horizon: 2, group: g, order: t}\ninputs: {x: v}\ntargets: {y: v}"
    arrays = rows(written(tmp_path, f"file: s.csv\n{text}"), ONE)
    training, validation = split_by_time(arrays, 0.2)
    before, after = (arrays.select(part).chosen for part in (training, validation))
    past, future = arrays.inputs["x"] % 100, arrays.targets["y"] % 100
    assert future[before].max() == 31  # the last 8 of 40 points in time are for validation
    assert future[after].min() == 32
    assert past[after].min() == 29  # the past of a window of validation may be older
    assert len(before) == (28 + 23 + 18)
    assert len(after) == 3 * 7
    for fraction, what in ((0.025, "future"), (0.97, "window")):
        with pytest.raises(SpecError, match=f"hold no whole {what}") as caught:
            split_by_time(arrays, fraction)
        assert caught.value.diagnostics[0].code == "GS508"


def test_rolling_origins_are_at_the_end_of_each_series(tmp_path: Path) -> None:
    sizes = {"a": 20, "b": 12, "c": 6, "d": 4}  # d is too short for a window
    table(tmp_path / "s.csv", "t,g,v", [f"{t},{g},{t}" for g, size in sizes.items() for t in range(size)])
    text = "windows: {length: 3, horizon: 2, group: g, order: t, stride: 2}\ninputs: {x: v}\ntargets: {y: v}"
    arrays = rows(written(tmp_path, f"file: s.csv\n{text}"), ONE)
    training, validation = split_at_origins(arrays, 3)
    assert taken(validation, "targets", "y") == [*([14, 15], [16, 17], [18, 19]), *([6, 7], [8, 9], [10, 11]), [4, 5]]
    assert taken(training, "targets", "y") == [[3, 4], [5, 6], [7, 8], [9, 10], [11, 12], [3, 4]]
    with pytest.raises(SpecError, match="no series has a window before 9 futures of 2 steps"):
        split_at_origins(arrays, 9)


SPEC = """
graphspec: 1
name: power
inputs:
  x: {shape: [8]}
layers:
  - {name: y, type: Dense, units: 2}
outputs:
  y: {loss: mse}
data:
  train:
    file: s.csv
    windows: {length: 8, horizon: 2, order: t}
    inputs: {x: v}
    targets: {y: v}
  validation: {split: 0.2, by: time}
training: {epochs: 200, batch_size: 16, optimizer: {type: Adam, learning_rate: 0.02}}
"""


def test_a_forecast_is_learnt_and_applied_to_the_newest_rows(tmp_path: Path) -> None:
    wave = np.sin(np.arange(200) / 3)
    table(tmp_path / "s.csv", "t,v", [f"{t},{v}" for t, v in enumerate(wave)])
    (tmp_path / "spec.yaml").write_text(SPEC)
    model = graphspec.compile(tmp_path / "spec.yaml")
    history = model.fit(verbose=0).history
    assert history["val_loss"][-1] < 1e-3
    table(tmp_path / "new.csv", "t,v", [f"{t},{wave[t]}" for t in range(180, 190)])
    feeds = read_inputs(model.spec, model.graph, tmp_path / "new.csv")
    assert feeds["x"].shape == (3, 8)  # without targets, the last window ends at the last row
    np.testing.assert_allclose(model.predict(feeds["x"])[-1], np.sin(np.array([190, 191]) / 3), atol=0.1)
    assert model.export(tmp_path / "m.onnx").rows == "the last fit"
    np.savez(tmp_path / "new.npz", x=feeds["x"])
    assert read_inputs(model.spec, model.graph, tmp_path / "new.npz")["x"].shape == (3, 8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", by: time", "", "`split` of `data.validation` needs `by` for windows"),
        ("split: 0.2, by: time", "split: {last: 0.2}", "`split` of `data.validation` needs `by` for windows"),
        ("    windows: {length: 8, horizon: 2, order: t}\n", "", "`by` of `data.validation` needs `windows`"),
        ("order: t", "group: t", "`by` of `data.validation` needs `order`"),
        ("length: 8, ", "", "`windows` of `data.train` needs `length`"),
        ("length: 8", "length: 0", "`length` of `windows` of `data.train`"),
        ("split: 0.2", "split: {last: 0.2}", "`by` of `data.validation` cannot be used with `last`"),
        ("split: 0.2, by: time", "split: {}", "`split` of `data.validation` needs `last`"),
        ("order: t", "order: t, every: 1 h", "`every` of the windows of `data.train` cannot be '1 h'"),
        ("order: t", "order: t, every: 0", "`every` of the windows of `data.train` cannot be 0"),
        ("order: t", "every: 1", "`every` of windows needs `order`"),
        ("order: t", 'format: "%d.%m.%Y"', "`format` of windows needs `order`"),
        ("order: t", "order: t, missing: linear", "must be 'interpolate' or 'previous' or a mapping, not 'linear'"),
    ],
)
def test_splits_that_do_not_suit(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SPEC
    (tmp_path / "spec.yaml").write_text(SPEC.replace(old, new))
    found = graphspec.validate(tmp_path / "spec.yaml")
    assert any(message in d.message for d in found), found


def test_the_last_rows_of_a_table(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "v,y", [f"{k},{k}" for k in range(10)])
    text = SPEC.replace("[8]", "[1]").replace("units: 2", "units: 1").replace("targets: {y: v}", "targets: {y: y}")
    text = text.replace("    windows: {length: 8, horizon: 2, order: t}\n", "").replace("0.2, by: time", "{last: 0.3}")
    (tmp_path / "spec.yaml").write_text(text.replace("epochs: 200", "epochs: 1"))
    from graphspec.engine.training.prepare import prepare_fit
    from graphspec.engine.training.reporting import observer

    model = graphspec.compile(tmp_path / "spec.yaml")
    trainer = prepare_fit(model, observer=observer(0))
    assert trainer.validation is not None
    assert trainer.validation.chosen is not None
    assert trainer.validation.chosen.tolist() == [7, 8, 9]


def test_the_proof_of_a_loaded_model_uses_windows_of_the_data(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "t,v", [f"{t},{t % 7}" for t in range(60)])
    (tmp_path / "spec.yaml").write_text(SPEC)
    model = graphspec.compile(tmp_path / "spec.yaml")
    assert model.export(tmp_path / "m.onnx").rows == "the training data"


@pytest.mark.slow
def test_workers_read_windows(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "t,v", [f"{t},{t % 7}" for t in range(200)])
    losses = []
    for workers in (1, 2):
        text = SPEC.replace("epochs: 200", f"epochs: 1, workers: {workers}").replace("batch_size: 16", "batch_size: 64")
        (tmp_path / "spec.yaml").write_text(text)
        losses.append(graphspec.compile(tmp_path / "spec.yaml").fit(verbose=0).history["val_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_target_without_a_value_is_found_by_the_row_of_the_table(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "t,v,w", [f"{8 - k},{k},{'' if k == 5 else k}" for k in range(9)])
    text = "windows: {length: 3, horizon: 2, order: t}\ninputs: {x: v}\ntargets: {y: w}"
    found = diagnostics(written(tmp_path, f"file: s.csv\n{text}"), ONE)
    assert [d.code for d in found] == ["GS505"]
    assert found[0].message.endswith("in 1 of 9 rows; first: line 7")


FILLED = "windows: {length: 3, horizon: 2, order: t, every: 1, missing: interpolate}\ninputs: {x: v}\ntargets: {y: v}"


def test_missing_values_and_steps_are_filled_for_the_past_and_the_future(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "t,v", ["0,0", "1,", "2,20", "3,30", "5,50", "6,60", "7,70", "8,80"])
    arrays = rows(written(tmp_path, f"file: s.csv\n{FILLED}"), ONE)
    # windows whose past ends in an interpolated value (at 4) are left out: it tells of the next one
    assert taken(arrays, "inputs", "x") == [[0, 10, 20], [10, 20, 30], [30, 40, 50], [40, 50, 60]]
    assert taken(arrays, "targets", "y") == [[30, 40], [40, 50], [60, 70], [70, 80]]
    assert arrays.times is not None
    assert (int(arrays.times.series.added.sum()), arrays.times.filled) == (1, 1)  # of one column, an input and a target


def test_windows_of_values_that_nothing_comes_before_are_left_out(tmp_path: Path) -> None:
    lines = ["0,", "1,1", *(f"{k},{k}" for k in range(2, 8))]
    table(tmp_path / "s.csv", "t,v", lines)
    assert taken(rows(written(tmp_path, f"file: s.csv\n{FILLED}"), ONE), "inputs", "x")[0] == [1, 2, 3]
    table(tmp_path / "s.csv", "t,v", [f"{k}," for k in range(8)])
    [found] = diagnostics(written(tmp_path, f"file: s.csv\n{FILLED}"), ONE)
    assert found.code == "GS508"
    assert "a value is missing that no known value comes before" in found.message


def test_categories_are_not_interpolated(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "t,v,k", [f"{t},{t},{'' if t == 2 else t % 2}" for t in range(8) if t != 5])
    wanted = DataSignature({"x": Type("int64", ("N", 3))}, {"y": Type("float32", ("N", 2))})
    text = FILLED.replace("x: v", "x: k")
    [found] = diagnostics(written(tmp_path, f"file: s.csv\n{text}"), wanted)
    assert found.code == "GS105"
    assert found.hint == "write `missing: {k: previous, …}`, or `missing: previous`"
    text = text.replace("missing: interpolate", "missing: {k: previous, v: interpolate}")
    arrays = rows(written(tmp_path, f"file: s.csv\n{text}"), wanted)
    assert taken(arrays, "inputs", "x")[:3] == [[0, 1, 1], [1, 1, 1], [1, 1, 0]]
    [found] = diagnostics(written(tmp_path, f"file: s.csv\n{text.replace(', v: interpolate', '')}"), wanted)
    assert found.code == "GS505"
