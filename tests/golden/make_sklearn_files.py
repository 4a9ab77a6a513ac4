"""Networks that scikit-learn has trained, as skl2onnx writes them.

``pip install scikit-learn==1.8.0 skl2onnx==1.20.0``, then ``python tests/golden/make_sklearn_files.py``. It writes
``sklearn_files/<name>.onnx``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

FOLDER = Path(__file__).parent / "sklearn_files"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    x = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    thirds = np.digitize(x[:, 0], [-0.5, 0.5])

    def write(name: str, scaler: Any, kind: Any, y: Any, **options: Any) -> None:
        network = make_pipeline(scaler, kind(hidden_layer_sizes=(5,), max_iter=30, random_state=0)).fit(x, y)
        model = to_onnx(network, x[:1], target_opset=17, options={id(network): options} if options else None)
        (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())

    write("regressor", StandardScaler(), MLPRegressor, x[:, 0])
    write("classifier", StandardScaler(), MLPClassifier, thirds)
    write("classifier_of_texts", StandardScaler(), MLPClassifier, np.array(["a", "b", "c"])[thirds], zipmap=False)
    write("classifier_of_two", MinMaxScaler(), MLPClassifier, (x.sum(1) > 0).astype(int), zipmap=False)


if __name__ == "__main__":
    main()
