"""Files that Keras 3 has written, and what Keras computes with them, for the tests of `graphspec import`.

Run with Keras and TensorFlow (texts and NASNet need it): ``KERAS_BACKEND=tensorflow python
tests/golden/make_keras_files.py [NAME …]``.
Names are of `keras_file_families.py`, and of `keras_file_images.py`, `…_sequences.py` and `…_tables.py`; without any, all.

A model becomes two files in `keras_files/`: what Keras saves (`.keras`, packed; or `.h5`, `.json`) and `.safetensors`.
The second has `inputs/…` and `targets/…` (those of the families are computed by a rule, see `keras_file_rows.py`) and
`outputs/<k>` at inference, computed in float64 where Keras can. Its metadata are ``loss``, that of one training step, and
``weights``: of each of Keras's variables a hash of its values in the file, in any order, by which a test finds it among
the imported ones. The variables after that step are in ``after/<path>``; of a family there are two sums of each: the
``lengths`` of the change, and its product with the probe of `keras_file_rows.py`, ``probes``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FOLDER = HERE / "keras_files"
ALSO = ("mnist_convnet", "crnn")
"""Models that are also saved as `.h5` and `.json`."""
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]


def draw(rng: np.random.Generator, role: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that a trained weight of this role might have, of nine bits: files of them pack well."""
    steps = 256 if np.prod(shape) > 8 else 1 << 16  # more where few numbers have to differ from those of other weights
    if role in ("moving_variance", "variance", "gamma"):
        values = rng.integers(steps // 2, steps * 3 // 2 + 1, shape) / steps
    elif role in ("bias", "beta", "moving_mean", "mean", "alpha"):
        values = rng.integers(-steps // 4, steps // 4 + 1, shape) / steps
    else:
        fan = np.prod(shape[:2] if role == "depthwise_kernel" else shape[:-1])
        values = rng.integers(-steps, steps + 1, shape) / steps * 2.0 ** np.round(np.log2(1.7 / np.sqrt(fan or 1)))
    return np.asarray(values, np.float32)


def fingerprint(array: np.ndarray) -> str:
    """A hash of the values in ascending order: no layout changes it."""
    return hashlib.sha256(np.sort(np.asarray(array, np.float32), axis=None).tobytes()).hexdigest()[:12]


def packed(path: Path) -> None:
    """Write a `.keras` file again, compressed and without times."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in sorted(archive.namelist())}
    meta = json.loads(parts["metadata.json"]) | {"date_saved": "2026-11-27@12:00:00"}
    parts["metadata.json"] = json.dumps(meta).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 27, 12, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)


def variables(model: Any) -> list[Any]:
    """All weights but counters, in Keras's order."""
    return [v for v in model.weights if v.path.rsplit("/", 1)[-1] not in ("seed_generator_state", "count")]


def assign(model: Any, weights: list[np.ndarray]) -> None:
    """Set the weights, also those that a layer has computed something from."""
    for variable, weight in zip(variables(model), weights, strict=True):
        variable.assign(weight)
    for layer in model._flatten_layers():
        if type(layer).__name__ == "Normalization":
            layer.finalize_state()


def listed(values: Any) -> dict[str, Any]:
    """Inputs, outputs or targets by name or number."""
    if values is None:
        return {}
    if isinstance(values, dict):
        return dict(values)
    return {str(k): value for k, value in enumerate(values if isinstance(values, list | tuple) else [values])}


def example_rows(rows: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of numbers as they are stored, and lists of texts."""
    arrays, texts = dict[str, np.ndarray](), dict[str, Any]()
    for key, value in listed(rows).items():
        array = np.asarray(value)
        if array.dtype.kind in "OUS":
            texts[key] = array.tolist()
        else:
            arrays[key] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return arrays, texts


def generator(name: str, what: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{name}/{what}".encode()).digest()[:8], "little"))


def rounded(rows: Any) -> Any:
    """Floats as float32 has them: Keras gets what is stored."""
    if isinstance(rows, dict):
        return {key: rounded(value) for key, value in rows.items()}
    if isinstance(rows, list | tuple):
        return [rounded(value) for value in rows]
    array = rows
    return array.astype(np.float32).astype(np.float64) if getattr(array, "dtype", np.dtype("O")).kind == "f" else rows


Built = tuple[Any, Any, Any]


def make(name: str, build: Callable[[np.random.Generator], Built], *, whole: bool) -> None:
    """Write the files of one model. Its changes are stored whole, or as two sums."""
    import keras

    def built(floats: str) -> Built:
        keras.backend.clear_session()
        keras.config.set_floatx(floats)
        keras.mixed_precision.set_global_policy(floats)
        keras.utils.set_random_seed(0)
        model, x, y = build(generator(name, "rows"))
        return model, rounded(x), rounded(y)

    model, x, y = built("float32")
    rng = generator(name, "weights")
    weights = [draw(rng, v.path.rsplit("/", 1)[-1], tuple(v.shape)) for v in variables(model)]
    assign(model, weights)
    path = FOLDER / f"{name}.keras"
    model.save(path)
    packed(path)
    if name in ALSO:
        model.save(path.with_suffix(".h5"), include_optimizer=False)
        (FOLDER / f"{name}.json").write_text(model.to_json(), "utf-8")
    if model.dtype_policy.name == "float32" and not any(example_rows(x)[1]):
        model, x, y = built("float64")
        assign(model, weights)
    record(name, (model, x, y), weights, whole=whole)
    print(f"{name:22} {sum(w.size for w in weights):7} weights, {path.stat().st_size / 1e3:.0f} kB", flush=True)


def make_legacy(name: str) -> None:
    """Write a file in the form of Keras 2, and what Keras 3 computes with it."""
    import keras
    from keras_file_legacy import LEGACY, rows, write

    rng, path = generator(name, "weights"), FOLDER / f"{name}.h5"
    shapes = dict(pair for parts in LEGACY[name]()[1].values() for pair in parts)
    arrays = {key: draw(rng, key.rsplit("/", 1)[-1], shape) for key, shape in shapes.items()}
    keras.backend.clear_session()
    keras.config.set_floatx("float32")
    write(path, name, arrays, for_keras_3=True)
    model = keras.saving.load_model(path)
    write(path, name, arrays, for_keras_3=False)
    weights = [keras.ops.convert_to_numpy(v.value) for v in variables(model)]
    x, y = (rounded(part) for part in rows(name, generator(name, "rows")))
    record(name, (model, x, y), weights, whole=True)
    print(f"{name:22} {sum(w.size for w in weights):7} weights, {path.stat().st_size / 1e3:.0f} kB", flush=True)


def record(name: str, built: Built, weights: list[np.ndarray], *, whole: bool) -> None:
    """Write what Keras computes with a model of these weights: outputs, and one step."""
    import keras
    from keras_file_rows import probe
    from safetensors.numpy import save_file

    plain = keras.ops.convert_to_numpy
    model, x, y = built
    pairs = zip(variables(model), weights, strict=True)
    held = [(v, w) for v, w in pairs if not v.path.endswith(("/mean", "/variance"))]  # those are arguments in a spec
    prints = [fingerprint(w) for _, w in held]
    assert len({*prints}) == len(prints), f"{name}: two weights of the same values"
    fed = x[0] if isinstance(x, list) and len(x) == 1 else x
    outputs = model(keras.tree.map_structure(keras.ops.convert_to_tensor, fed), training=False)
    arrays = {f"outputs/{key}": plain(value) for key, value in listed(outputs).items()}
    meta: dict[str, Any] = {}
    if y is not None:
        model._compile_metrics = None  # some have no float64
        meta["loss"] = float(plain(model.train_on_batch(x, y, return_dict=True)["loss"]))
    if y is not None and whole:
        arrays |= {f"after/{v.path}": plain(v.value) for v, _ in held}
    elif y is not None:
        changes = [(plain(v.value) - w).ravel() for v, w in held]
        arrays["lengths"] = np.array([np.linalg.norm(change) for change in changes])
        arrays["probes"] = np.array([change @ probe(change.size) for change in changes])
    if whole:
        for kind, rows in (("inputs", x), ("targets", y)):
            numbers, texts = example_rows(rows)
            arrays |= {f"{kind}/{key}": value for key, value in numbers.items()}
            meta |= {kind: texts} if texts else {}
    meta["weights"] = {key: v.path for key, (v, _) in zip(prints, held, strict=True)} if whole else prints
    stored = {k: np.ascontiguousarray(a.astype(np.float32) if a.dtype.kind == "f" else a) for k, a in arrays.items()}
    save_file(stored, FOLDER / f"{name}.safetensors", metadata={"keras": json.dumps(meta)})
    for path in FOLDER.glob(f"{name}.*"):
        path.chmod(0o644)


def main(names: list[str]) -> None:
    from keras.src.backend.common import dtypes

    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # Keras multiplies matrices of float64 in float32 otherwise
    from keras_file_families import FAMILIES, family
    from keras_file_images import IMAGES
    from keras_file_legacy import LEGACY
    from keras_file_sequences import SEQUENCES
    from keras_file_tables import TABLES

    examples = IMAGES | SEQUENCES | TABLES
    for name in names or [*FAMILIES, *examples, *LEGACY]:
        if name in FAMILIES:
            make(name, family(name), whole=False)
        elif name in LEGACY:
            make_legacy(name)
        else:
            make(name, examples[name], whole=True)


if __name__ == "__main__":
    main(sys.argv[1:])
