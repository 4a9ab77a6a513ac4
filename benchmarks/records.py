"""Raw records: preparing, training in memory and from memory maps, and serving, beside scikit-learn's pipeline.

``python -m benchmarks.records [--rows N] [--limit MB] [--markdown]`` writes a table of numbers with gaps, categories, dates,
texts and text labels as Parquet. Every contender is a process of its own. ``maps`` reads the rows into memory maps, as
``graphspec train`` does if they do not fit into the memory; ``--limit`` bounds its own memory, without mapped files.
``--numbers`` measures ``benchmarks/numbers.py`` instead.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.numbers import compare
from benchmarks.tables import add_page, publish, table, where

NUMBERS, CATEGORIES = [f"n{k}" for k in range(8)], [f"c{k}" for k in range(4)]
EPOCHS, HIDDEN, WORDS = 3, 32, 200
CONTENDERS = ("memory", "maps", "maps again", "scikit-learn")


def write(path: Path, rows: int) -> None:
    """The table."""
    import duckdb

    gap = "CASE WHEN random() < 0.1 THEN NULL ELSE"
    columns = [f"{gap} (random() * {10**k})::FLOAT END n{k}" for k in range(len(NUMBERS))]
    columns += [f"'value ' || (random() ** 3 * {20 * (k + 1)})::INT c{k}" for k in range(len(CATEGORIES))]
    columns.append("strftime(DATE '2000-01-01' + (random() * 9000)::INT, '%Y-%m-%d') AS day")
    words = " || ' ' || ".join("'word' || (random() ** 4 * 2000)::INT" for _ in range(6))
    columns += [f"{words} remark", "CASE WHEN random() < 0.3 THEN 'yes' ELSE 'no' END answer"]
    with duckdb.connect(config={"threads": "2"}) as base:
        base.execute(f"COPY (SELECT {', '.join(columns)} FROM range({rows})) TO '{path}'")


def spec(path: Path) -> dict[str, Any]:
    """The network: what ``graphspec init --from`` makes of such a table, with one hidden layer."""
    columns: dict[str, Any] = dict.fromkeys(NUMBERS, "number") | dict.fromkeys(CATEGORIES, "category")
    columns |= {"day": "date", "remark": {"type": "text", "max_tokens": WORDS}}
    return {
        "graphspec": 1,
        "name": "records",
        "inputs": {"row": {"columns": columns}},
        "layers": [
            {"name": "hidden", "type": "Dense", "units": HIDDEN, "activation": "relu"},
            {"name": "answer", "type": "Dense", "units": 1, "activation": "sigmoid"},
        ],
        "outputs": {"answer": {"loss": "binary_crossentropy"}},
        "training": {"epochs": EPOCHS, "batch_size": 512, "seed": 1, "workers": 1},
        "data": {"train": {"file": str(path)}},
    }


class _Peak(threading.Thread):
    """The largest memory of this process in MiB: all resident, and what is its own (not pages of files)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.all, self.own = 0.0, 0.0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.02):
            self.look()

    def look(self) -> None:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        found = {
            key: int(value.split()[0]) / 1024
            for key, _, value in (line.partition(":") for line in lines)
            if key in _KEYS
        }
        self.all, self.own = max(self.all, found["VmRSS"]), max(self.own, found["RssAnon"])

    def stop(self) -> dict[str, float]:
        self._end.set()
        self.join()
        return {"all": self.all, "own": self.own}


_KEYS = ("VmRSS", "RssAnon")


def ours(path: Path, folder: Path, limit: int | None, *, maps: bool) -> dict[str, float]:
    """Read, learn, prepare, train; seconds by part."""
    import graphspec as gs
    from graphspec.data import stored
    from graphspec.engine.training.adapt import adapt
    from graphspec.engine.training.reporting import Silent

    gs.compile(spec(path))  # imports what is needed
    if limit is not None:
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        used = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:")) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (used + (limit << 20), used + (limit << 20)))
    marks: list[float] = []

    class Marks(Silent):
        def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
            marks.append(time.perf_counter())

    stored.SHARE = 0.0 if maps else 1e9
    peak = _Peak()
    peak.start()
    model = gs.compile(spec(path))
    model.cache = folder / "cache" if maps else None
    times = [time.perf_counter()]
    model.parts["train"] = model.part("train")
    times.append(time.perf_counter())
    model.install(adapt(model.spec, model.parts["train"]))
    times.append(time.perf_counter())
    trainer = model.trainer(Marks(), folder / "run")
    times.append(time.perf_counter())
    (folder / "run").mkdir(exist_ok=True)
    trainer.run()
    later = [b - a for a, b in itertools.pairwise(marks)]
    found = {"read": times[1] - times[0], "learn": times[2] - times[1], "prepare": times[3] - times[2]}
    found |= {"first": marks[0] - times[3], "later": min(later)} | peak.stop()
    if not maps:
        model.export(folder / "ours.onnx")
    return found


def theirs(path: Path, folder: Path) -> dict[str, float]:
    """The same columns by scikit-learn's transformers, and MLPClassifier with the same network."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    peak = _Peak()
    peak.start()
    times = [time.perf_counter()]
    frame = pd.read_parquet(path)
    dates = pd.to_datetime(frame.pop("day"))
    for part in ("year", "month", "day", "day_of_week"):  # without sine and cosine
        frame[part] = getattr(dates.dt, part).astype("float32")
    target = frame.pop("answer")
    times.append(time.perf_counter())
    numbers = [*NUMBERS, "year", "month", "day", "day_of_week"]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("categories", OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist"), CATEGORIES),
            ("remark", TfidfVectorizer(max_features=WORDS, lowercase=False), "remark"),
        ]
    ).fit(frame)
    times.append(time.perf_counter())
    rows = columns.transform(frame)
    times.append(time.perf_counter())
    network = MLPClassifier((HIDDEN,), batch_size=512, max_iter=1, random_state=1)
    network.partial_fit(rows, target, classes=["no", "yes"])
    times.append(time.perf_counter())
    network.partial_fit(rows, target)
    times.append(time.perf_counter())
    parts = [b - a for a, b in itertools.pairwise(times)]
    found = dict(zip(("read", "learn", "prepare", "first", "later"), parts, strict=True)) | peak.stop()
    whole = Pipeline([("columns", columns), ("network", network)])
    record = frame.iloc[:1]
    found["serve"] = best(lambda: whole.predict_proba(record))
    try:
        found["serve onnx"] = _converted(whole, frame)
    except Exception as error:
        print(f"skl2onnx: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
    return found


def _converted(whole: Any, frame: Any) -> float:
    """Microseconds for one record of the pipeline that skl2onnx converts."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    texts = [*CATEGORIES, "remark"]
    kinds = [(n, (StringTensorType if n in texts else FloatTensorType)([None, 1])) for n in frame.columns]
    content = to_onnx(whole, initial_types=kinds, options={"zipmap": False}).SerializeToString()
    record = {n: frame[n].iloc[:1].to_numpy(object if n in texts else "float32").reshape(1, 1) for n in frame.columns}
    return _served(content, record)


def _served(content: bytes, record: dict[str, Any]) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run
    return best(lambda: run(None, record))


def best(call: Callable[[], object], rounds: int = 7, calls: int = 200) -> float:
    """Microseconds a call: the fastest of some rounds."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        found.append((time.perf_counter() - start) / calls)
    return min(found) * 1e6


def serve(folder: Path) -> dict[str, float]:
    """Microseconds for one record of the exported file, in Python and in Node."""
    import numpy as np

    record: dict[str, Any] = dict.fromkeys(NUMBERS, 0.5) | dict.fromkeys(CATEGORIES, "value 1")
    record |= {"day": "2020-02-03", "remark": "word0 word1 word2 other"}
    arrays = {n: np.array([[v]], object if isinstance(v, str) else np.float32) for n, v in record.items()}
    file = folder / "ours.onnx"
    return {"serve onnx": _served(file.read_bytes(), arrays)} | _served_by_node(file, record)


def _served_by_node(file: Path, record: Mapping[str, object]) -> dict[str, float]:
    """The same by onnxruntime-node, where ``tests/consumers/install.sh`` has installed it."""
    here = Path(__file__).parent
    modules, node = here.parent / "tests" / "consumers" / "node", shutil.which("node")
    if node is None or not (modules / "node_modules").exists():
        print("no Node, or no packages: run tests/consumers/install.sh", file=sys.stderr)
        return {}
    command = [node, str(here / "serve_one.mjs"), str(file), json.dumps(record), str(modules)]
    return {"serve node": float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)}


def measure(contender: str, path: Path, folder: Path, limit: int | None) -> dict[str, float]:
    """The results of one contender, in this process."""
    if contender == "scikit-learn":
        return theirs(path, folder)
    found = ours(path, folder, limit if contender != "memory" else None, maps=contender != "memory")
    return found | (serve(folder) if contender == "memory" else {})


def shown(results: Mapping[str, dict[str, float]], rows: int, size: int, raw: str) -> str:
    """The tables."""
    head = ["", "read, s", "learn, s", "prepare, s", "rows/s", "MB/s of the file", "first epoch, s", "later epochs, s"]
    lines = []
    for name, r in results.items():
        ready = r["read"] + r["learn"] + r["prepare"]
        figures = [f"{r[key]:.1f}" for key in ("read", "learn", "prepare")]
        figures += [f"{rows / ready:,.0f}", f"{size / ready / 1e6:.1f}", f"{r['first']:.1f}", f"{r['later']:.1f}"]
        lines.append([name, *figures, f"{r['own']:,.0f}", f"{r['all']:,.0f}"])
    served = [
        [label, f"{results[name][key]:,.0f}"]
        for label, name, key in (
            ("graphspec, exported, Python", "memory", "serve onnx"),
            ("graphspec, exported, Node", "memory", "serve node"),
            ("scikit-learn", "scikit-learn", "serve"),
            ("scikit-learn, by skl2onnx", "scikit-learn", "serve onnx"),
        )
        if key in results.get(name, {})
    ]
    text = f"{where()}\n\n{raw}\n\n{table([*head, 'own memory, MiB', 'with files, MiB'], lines)}"
    return f"{text}\n\n{table(['one record', 'µs'], served)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument(
        "--numbers", action="store_true", help="instead: learning from 40 columns of numbers, beside DuckDB"
    )
    parser.add_argument("--limit", type=int, metavar="MB", help="of the memory of `maps`, beyond that of the imports")
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--folder", type=Path, help="where the table is kept, and found again")
    add_page(parser)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        contender, path, folder = given.measure
        print(json.dumps(measure(contender, Path(path), Path(folder), given.limit)))
        return
    if given.numbers:
        compare(given.rows, given.markdown)
        return
    with tempfile.TemporaryDirectory() as temporary:
        path = (given.folder or Path(temporary)) / f"records-{given.rows}.parquet"
        if not path.exists():
            write(path, given.rows)
        results = {}
        for name in given.only:
            command = [sys.executable, "-m", "benchmarks.records", "--measure", name, str(path), temporary]
            command += [] if given.limit is None else ["--limit", str(given.limit)]
            ran = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}
            )
            if ran.returncode:
                print(f"{name}: fails with status {ran.returncode}", file=sys.stderr)
                continue
            results[name] = json.loads(ran.stdout.splitlines()[-1])
        size = path.stat().st_size
        raw = f"{given.rows:,} rows, a Parquet file of {size / 1e6:,.0f} MB."
        text = shown(results, given.rows, size, raw)
    publish("records", text, given.markdown)


if __name__ == "__main__":
    main()
