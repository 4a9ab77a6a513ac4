"""What Keras users write in Python, and what to write here: answers to keywords and attributes that there are not."""

from __future__ import annotations

from typing import Final

_IN_SPEC = "the spec has it: "
_ROWS = "an epoch passes over all rows; to train on fewer, pass fewer rows or set `data.train.query` in the spec"
_WORKERS = "set `training: {workers: auto}` in the spec to train in several processes"

FIT: Final = {
    "initial_epoch": "leave it out: a second `fit` continues the count of epochs, the schedule and the optimizer's state",
    "steps_per_epoch": _ROWS,
    "validation_steps": "validation passes over all rows; pass fewer rows in `validation_data`",
    "validation_batch_size": "leave it out: validation uses `batch_size`, which does not change the results",
    "validation_freq": "leave it out: every epoch is validated",
    "workers": _WORKERS,
    "use_multiprocessing": _WORKERS,
    "max_queue_size": "leave it out: batches are copied from memory",
    "learning_rate": "set `training.optimizer.learning_rate` in the spec, or compile with `sets=[…]`",
    "lr": "set `training.optimizer.learning_rate` in the spec, or compile with `sets=[…]`",
    "optimizer": "set `training.optimizer` in the spec, or compile with `sets=[…]`",
    "seed": "set `training.seed` in the spec, or compile with `sets=[…]`",
    "X": "write `x`",
    "data": "pass `x` and `y`, or leave them out for the data of the spec",
    "nb_epoch": "write `epochs`",
    "metrics": _IN_SPEC + "`outputs: {head: {metrics: […]}}`",
    "loss": _IN_SPEC + "`outputs: {head: {loss: …}}`",
}
EVALUATE: Final = {
    "steps": "all rows are evaluated; pass fewer rows for fewer",
    "return_dict": "leave it out: the result is always a dict",
    "callbacks": "leave it out: callbacks belong to `fit`",
    "class_weight": "pass `sample_weight`; class weights belong to training",
}
PREDICT: Final = {
    "steps": "all rows are predicted; pass fewer rows for fewer",
    "callbacks": "leave it out: callbacks belong to `fit`",
    "y": "`predict` takes inputs only; `evaluate` compares them with targets",
    "training": "predictions are always in inference mode",
}
EXPLAIN: Final = {
    "target": "write `label`",
    "target_class": "write `label`",
    "class_name": "write `label`",
    "baselines": "write `baseline`: rows whose mean it is",
    "method": "leave it out: the method is integrated gradients",
    "n_steps": "leave it out: a row takes as many steps as its sum needs",
    "steps": "leave it out: a row takes as many steps as its sum needs",
    "batch_size": "leave it out: memory decides",
    "y": "`explain` takes inputs only; it explains the predicted class, or `label`",
}
COMPILE: Final = {
    "optimizer": _IN_SPEC + "`training: {optimizer: …}`; to change it here, `sets=['training.optimizer=adam']`",
    "loss": _IN_SPEC + "`outputs: {head: {loss: …}}`; to change it here, `sets=['outputs.head.loss=mse']`",
    "metrics": _IN_SPEC + "`outputs: {head: {metrics: […]}}`",
    "weighted_metrics": _IN_SPEC + "`outputs: {head: {metrics: […]}}`; metrics use the sample weights",
    "loss_weights": _IN_SPEC + "`outputs: {head: {weight: …}}`",
    "learning_rate": _IN_SPEC
    + "`training.optimizer.learning_rate`; here `sets=['training.optimizer.learning_rate=0.01']`",
    "epochs": "give it to `fit`, or set `training.epochs` in the spec",
    "batch_size": "give it to `fit`, or set `training.batch_size` in the spec",
    "seed": _IN_SPEC + "`training.seed`; here `sets=['training.seed=1']`",
    "run_eagerly": "leave it out: the runtime is NumPy",
    "jit_compile": "leave it out: there is nothing to switch on",
    "steps_per_execution": "leave it out",
    "overrides": "write `sets=['training.epochs=5']`",
    "set": "write `sets=['training.epochs=5']`",
}
LOAD: Final = {
    "compile": "leave it out: the run contains the loss, the metrics and the optimizer",
    "custom_objects": "import the module with your classes before; see docs/plugins.md",
    "sets": "the run has its spec; to change it, compile the spec and copy the weights: `new.set_weights(old.weights)`",
    "safe_mode": "leave it out: a run contains no code",
}
NO_ESTIMATOR: Final = (
    "a graphspec model is no estimator of scikit-learn: for each split, compile the spec again, "
    "`m = gs.compile('net.yaml'); m.fit(x_train, y_train); m.evaluate(x_test, y_test)`"
)
_RUN_OR_ONNX = "`save('runs/name')` writes a run, which `gs.load` reads, and `save('name.onnx')` a file for apps"
_OTHERS = {
    "Keras's or TensorFlow's": (".keras", ".h5", ".hdf5", ".pb", ".tflite"),
    "PyTorch's": (".pt", ".pth", ".ckpt", ".bin"),
    "pickles, which run code when they are read": (".pkl", ".pickle", ".joblib"),
    "for weights, which `save_weights` writes": (".safetensors", ".npz"),
}
SAVED: Final = {suffix: f"they are {what}; {_RUN_OR_ONNX}" for what, found in _OTHERS.items() for suffix in found}
"""Suffixes of files that `save` does not write, and what to write instead."""
ATTRIBUTES: Final = {
    "add": "the layers are in the spec",
    "build": "the model is built: the spec has the shapes of its inputs",
    "call": "use `model.predict(x)`",
    "compile": "`gs.compile` has done it: loss, metrics and optimizer are in the spec",
    "compute_loss": "use `model.evaluate(x, y)`",
    "count_params": "`model.summary()` prints the number of parameters; `sum(w.size for w in model.weights.values())`",
    "classes_": "`model.labels[head]` are the classes",
    "coef_": "`model.weights` is a dict of copies by name",
    "feature_importances_": "`model.report('report.html')` shows the importance of each column",
    "fit_generator": "use `model.fit` with arrays or data frames",
    "get_layer": "`model.spec.nodes` has the layers, `model.weights['layer/kernel']` their weights",
    "get_params": f"`model.document()` is the spec as a dict; {NO_ESTIMATOR}",
    "get_weights": "`model.weights` is a dict of copies by name",
    "inputs": "`model.spec.inputs` has the inputs",
    "layers": "`model.spec.nodes` has the layers",
    "optimizer": "`model.spec.training.optimizer` is the optimizer",
    "outputs": "`model.spec.heads` has the heads",
    "predict_classes": "use `model.predict(x).argmax(-1)`",
    "predict_on_batch": "use `model.predict(x)`",
    "predict_proba": "use `model.predict(x)`: a softmax or sigmoid head returns probabilities",
    "score": "use `model.evaluate(x, y)`",
    "set_params": "change the spec: `gs.compile('net.yaml', sets=['training.epochs=5'])`",
    "state_dict": "`model.weights` is a dict of copies by name",
    "test_on_batch": "use `model.evaluate(x, y)`",
    "to": "networks run on the CPU",
    "to_json": "`model.document()` is the spec as a dict",
    "transform": "the network itself scales and encodes its columns: use `model.predict(x)`",
    "train_on_batch": "use `model.fit(x, y, epochs=1, batch_size=len(x))`",
    "trainable_weights": "`model.weights` is a dict of copies by name",
}
