"""A contender with its defaults, in the contenders' environment: ``python -m benchmarks.quality.tables peers NAME …``.

After the name come, for each run, a seed, a folder with ``train.csv``, ``test.csv`` and ``meta.json`` of ``tables.py``, and
the file for the scores. Beside that, ``.npy`` has the answers for the test rows: values, or probabilities by sorted labels.
"""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import scores

MOST_CATEGORIES = 255
"""HistGradientBoosting takes no more; a column with more is ordinal there."""


@dataclass
class Rows:
    """Training and test rows as data frames whose texts are categories of the training rows; unseen values are missing."""

    x: Any
    x_test: Any
    y: Any
    classes: bool

    @property
    def texts(self) -> list[str]:
        return [c for c in self.x if self.x[c].dtype.kind not in "iufb"]


def load(folder: Path) -> tuple[Rows, dict[str, Any], Any, list[Any]]:
    import pandas as pd

    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    train, test = (pd.read_csv(folder / f"{p}.csv", keep_default_na=False, na_values=[""]) for p in ("train", "test"))
    y, y_test = (part.pop(meta["target"]) for part in (train, test))
    for name in train:
        if train[name].dtype == object or test[name].dtype == object:
            kind = pd.CategoricalDtype(sorted(train[name].dropna().astype(str).unique()))
            train[name], test[name] = (p[name].where(p[name].isna(), p[name].astype(str)) for p in (train, test))
            train[name], test[name] = train[name].astype(kind), test[name].astype(kind)
        elif train[name].dtype == bool:
            train[name], test[name] = train[name].astype(int), test[name].astype(int)
    labels: list[Any] = []
    if meta["task"] == "classes":
        labels = sorted(y.unique())
        y, y_test = (np.searchsorted(labels, part) for part in (y, y_test))
    return Rows(train, test, np.asarray(y), bool(labels)), meta, np.asarray(y_test), labels


def filled(rows: Rows) -> None:
    """Missing numbers become the median, with a column that says so; missing texts a category."""
    for name in list(rows.x):
        text, gaps = name in rows.texts, rows.x[name].isna().any()
        middle = 0.0 if text or rows.x[name].isna().all() else rows.x[name].median()
        for part in (rows.x, rows.x_test):
            if text:
                part[name] = part[name].cat.add_categories("(missing)").fillna("(missing)")
                continue
            if gaps:
                part[f"{name} is missing"] = part[name].isna().astype(float)
            part[name] = part[name].fillna(middle)


def lightgbm(rows: Rows, seed: int) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    for part in (rows.x, rows.x_test):  # it refuses names with signs of JSON
        part.columns = [f"c{k}" for k in range(part.shape[1])]
    return (LGBMClassifier if rows.classes else LGBMRegressor)(n_jobs=1, random_state=seed, verbose=-1)


def xgboost(rows: Rows, seed: int) -> Any:
    from xgboost import XGBClassifier, XGBRegressor

    return (XGBClassifier if rows.classes else XGBRegressor)(n_jobs=1, random_state=seed, enable_categorical=True)


def catboost(rows: Rows, seed: int) -> Any:
    from catboost import CatBoostClassifier, CatBoostRegressor

    texts = rows.texts
    for part in (rows.x, rows.x_test):
        for name in texts:
            part[name] = part[name].astype(object).fillna("(missing)")
    kind = CatBoostClassifier if rows.classes else CatBoostRegressor
    return kind(cat_features=texts, thread_count=1, random_seed=seed, verbose=0, allow_writing_files=False)


def hgb(rows: Rows, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    for name in rows.texts:
        if len(rows.x[name].cat.categories) > MOST_CATEGORIES:
            for part in (rows.x, rows.x_test):
                part[name] = part[name].cat.codes
    kind = HistGradientBoostingClassifier if rows.classes else HistGradientBoostingRegressor
    return kind(categorical_features="from_dtype", random_state=seed)


def one_hot(rows: Rows, model: Any, scale: bool = True) -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    filled(rows)
    texts = make_column_selector(dtype_include="category")
    number = StandardScaler() if scale else "passthrough"
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), remainder=number)
    return make_pipeline(encode, model)


def linear(rows: Rows, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    return one_hot(rows, LogisticRegression(max_iter=1000) if rows.classes else Ridge())


def forest(rows: Rows, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return one_hot(rows, (RandomForestClassifier if rows.classes else RandomForestRegressor)(random_state=seed), False)


def mlp(rows: Rows, seed: int) -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler

    if rows.classes:
        return one_hot(rows, MLPClassifier(random_state=seed))
    return one_hot(rows, TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler()))


def _pytabkit(name: str) -> Callable[[Rows, int], Any]:
    def make(rows: Rows, seed: int) -> Any:
        from pytabkit import models

        filled(rows)
        kind = getattr(models.sklearn.sklearn_interfaces, f"{name}_{'Classifier' if rows.classes else 'Regressor'}")
        return kind(device="cpu", n_threads=1, random_state=seed)

    return make


PEERS: dict[str, tuple[str, Callable[[Rows, int], Any]]] = {
    "lightgbm": ("lightgbm", lightgbm),
    "xgboost": ("xgboost", xgboost),
    "hgb": ("scikit-learn", hgb),
    "linear": ("scikit-learn", linear),
    "catboost": ("catboost", catboost),
    "forest": ("scikit-learn", forest),
    "mlp": ("scikit-learn", mlp),
    "realmlp-s": ("pytabkit", _pytabkit("RealMLP_TD_S")),
    "realmlp": ("pytabkit", _pytabkit("RealMLP_TD")),
    "tabm": ("pytabkit", _pytabkit("TabM_D")),
}
"""By name: the package, whose version is the contender's, and what makes its estimator, which may change the rows' form."""


def main(name: str, seed: int, folder: Path, out: Path) -> None:
    rows, meta, y_test, labels = load(folder)
    model = PEERS[name][1](rows, seed)  # imports take as long as small tables
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(rows.x, rows.y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    begin = time.perf_counter()
    answer = np.asarray(model.predict_proba(rows.x_test) if labels else model.predict(rows.x_test), np.float64)
    predict = time.perf_counter() - begin
    if labels:
        found = scores.classes(y_test, answer, int(np.bincount(rows.y).argmin()))
    else:
        answer = answer.reshape(-1)
        found = scores.numbers(y_test, answer)
    said = {"digest": meta["digest"], "scores": found, "seconds": wall, "cpu": cpu, "predict": predict}
    try:
        said["size"] = len(pickle.dumps(model))
    except Exception as error:  # its network has closures; whatever it is, the scores hold
        print(f"{name}: no size: {error}", file=sys.stderr)
    np.save(out.with_suffix(".npy"), answer.astype(np.float32))
    out.write_text(json.dumps(said), encoding="utf-8")


def command(words: Sequence[str]) -> None:
    if not words:  # who is there, with which version
        there = {}
        for contender, (package, _) in PEERS.items():
            try:
                there[contender] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        print(json.dumps(there))
    else:
        for repeat, place, to in zip(*(words[k::3] for k in (1, 2, 3)), strict=True):
            main(words[0], int(repeat), Path(place), Path(to))
