"""Keys, arguments and values that other frameworks and plain speech have for ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

# Building tables of synonyms.
PRETRAINED = (
    "write `initial_weights: FILE` in `training`, or `weights: FILE` on a node or a block instance; `trainable: false` on a "
    "node freezes it"
)


def each(*keys: str, to: str) -> Mapping[str, str]:
    """Return a table in which all ``keys`` lead to the same."""
    return dict.fromkeys(keys, to)


def fold(key: str) -> str:
    """Return a key without case, underscores, hyphens and spaces."""
    return key.replace("_", "").replace("-", "").replace(" ", "").lower()


def table(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Return a table that also has its keys folded."""
    return {fold(key): text for key, text in texts.items()} | dict(texts)


# Values as Python and other frameworks write them: ``None``, ``(2, 2)``, ``1_000``, ``50%``, ``padding: 1``.
_NONE = frozenset(("none", "null", "nil", "nan", "na", "n/a", "undefined"))
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_RULES = {"NCHW": "channels_first", "NCW": "channels_first", "NHWC": "channels_last", "NWC": "channels_last"}


def means_null(value: Any) -> bool:
    """Return whether ``value`` is a text that stands for null elsewhere, such as ``None``."""
    return isinstance(value, str) and value.strip("'\" ").lower() in _NONE


def tuple_items(text: str) -> str | None:
    """Return a tuple in Python's notation as a list in YAML's: ``(None, 4)`` becomes ``[null, 4]``; None for other texts.

    The closing bracket may be missing; the list then ends with ``…``.
    """
    if not re.match(r"\((?!\w+\))", text):
        return None
    items = [item.strip() for item in text.strip("() ").split(",") if item.strip()]
    items = ["null" if means_null(item) else item for item in items]
    return f"[{', '.join(items)}{'' if text.endswith(')') else ', …'}]"


def number_hint(text: str, *, integer: bool = False) -> str | None:
    """Return how to write a text that means a number, or None if it means none."""
    plain = text.strip("'\" ")
    digits = plain.replace("_", "").replace(" ", "").replace("'", "")
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", digits):
        digits = digits.replace(",", "")
    elif re.fullmatch(r"[-+]?\d+,\d+", digits):
        digits = digits.replace(",", ".")
    if re.fullmatch(r"[-+]?\d+" if integer else _NUMBER, digits):
        return f"write `{digits}` without quotes" if digits == text else f"write `{digits}`"
    if not integer and (percent := re.fullmatch(rf"({_NUMBER})%", digits)):
        return f"write `{float(percent[1]) / 100:g}`"
    if not integer and (ratio := re.fullmatch(r"(\d{1,9})/(\d{1,9})", digits)) and int(ratio[2]):
        return f"write `{int(ratio[1]) / int(ratio[2]):.6g}`"
    if integer and (sizes := re.fullmatch(r"(\d{1,6})[x×*](\d{1,6})([x×*](\d{1,6}))?", plain)):
        return f"write `[{', '.join(size for size in (sizes[1], sizes[2], sizes[4]) if size)}]`"
    return None


def value_synonym(key: str, value: Any) -> str | None:
    """Return a hint for a value of ``key`` that is right in another framework, or None."""
    if key == "shape" and means_null(value):
        return "write a list of sizes, `null` for one that varies: `[null, 4]`"
    if key == "padding" and isinstance(value, int) and not isinstance(value, bool):
        padded = f"`same` for an output of the input's size, or a ZeroPadding layer before this one for exactly {value}"
        return f"write {padded}" if value else "write `valid`"
    if key == "padding" and value in ("zeros", "zero", "half"):
        return "write `same`"
    if key == "data_format" and isinstance(value, str) and value.upper() in _RULES:
        return f"write `{_RULES[value.upper()]}`"
    if key.endswith("_regularizer") and isinstance(value, int | float) and not isinstance(value, bool):
        return f"write `{{type: L2, l2: {value:g}}}`"
    if key.endswith("dropout") or key in ("rate", "split"):
        is_percent = isinstance(value, int | float) and not isinstance(value, bool) and 5 <= value < 100
        return f"write `{value / 100:g}`: it is a fraction, not a percentage" if is_percent else None
    return None


# Arguments of classes, as other frameworks and plain speech have them.
_INFERRED = "leave it out: it is inferred from the input"
_DECAY = "write a schedule as the rate: `learning_rate: {type: CosineDecay, …}`"
_OWN_NODE = "write it as a node of its own after this one: `{type: %s}`"

_SIZES = "units filters output_dim"
LAYER = table(
    {
        **each(
            "input_shape",
            "batch_input_shape",
            "batch_shape",
            to=("leave it out: it is inferred; `inputs: {x: {shape: [4]}}` declares the input of the network"),
        ),
        **each(
            "input_dim", "in_features", "in_channels", "input_size", "num_features", "normalized_shape", to=_INFERRED
        ),
        **each("num_channels", "in_dim", "n_in", "fan_in", "input_length", "kdim", "vdim", to=_INFERRED),
        **each("embed_dim", "d_model", "model_dim", to=f"output_dim key_dim {_SIZES}"),
        "build_config": "leave it out: shapes are inferred from `inputs`",
        **each("out_features", "out_channels", "output_size", "out_dim", "n_out", "output_dim", to=_SIZES),
        **each("hidden_size", "hidden_units", "hidden_dim", "num_units", "n_units", "neurons", "nodes", to=_SIZES),
        **each("units", "filters", "channels", "width", "dim", "size", to=f"{_SIZES} axis pool_size kernel_size"),
        **each("num_filters", "n_filters", "nb_filter", "depth", to="filters"),
        **each(
            "kernel", "window", "filter_size", "ksize", "k", "kernel_shape", "kernel_size", to="kernel_size pool_size"
        ),
        **each("pool", "pool_length", to="pool_size"),
        **each("stride", "step", "subsample", to="strides"),
        **each("pad", "border_mode", to="padding"),
        **each("padding_mode", to="leave it out: padding is with zeros"),
        **each("dilation", "dilations", "atrous_rate", to="dilation_rate"),
        **each("group", "num_groups", "n_groups", to="groups"),
        **each("bias", "has_bias", "with_bias", "add_bias", to="use_bias"),
        **each("eps", "variance_epsilon", to="epsilon"),
        **each("act", "nonlinearity", "activation_fn", "activation_function", "non_linearity", to="activation"),
        **each("recurrent_nonlinearity", to="recurrent_activation"),
        **each(
            "init",
            "initializer",
            "weight_init",
            "kernel_init",
            "weight_initializer",
            to=("kernel_initializer embeddings_initializer"),
        ),
        **each("bias_init", to="bias_initializer"),
        **each("W_regularizer", "weight_regularizer", "regularizer", to="kernel_regularizer embeddings_regularizer"),
        **each("W_constraint", "weight_constraint", to="kernel_constraint"),
        **each("l1", "l2", "weight_decay", to="write `kernel_regularizer: {type: L2, l2: 0.01}`"),
        **each("dropout_rate", "drop_rate", "drop_prob", "attn_dropout", "p", "prob", to="dropout rate"),
        **each("dropout", to=_OWN_NODE % "Dropout, rate: 0.5"),
        **each("batch_norm", "batchnorm", "use_bn", "norm", to=_OWN_NODE % "BatchNormalization"),
        **each("num_layers", "n_layers", "stacked", to="write one node per layer, or `repeat: 2` on this one"),
        **each("bidirectional", to="write `{type: Bidirectional, layer: {type: LSTM, units: 64}}`"),
        **each("batch_first", to="leave it out: the batch is always the first axis"),
        **each("heads", "n_heads", "nhead", "num_attention_heads", to="num_heads"),
        **each("head_dim", "head_size", "dim_head", to="key_dim head_dim"),
        **each("return_sequence", "return_seq", "seq", to="return_sequences"),
        **each("dims", "along", to="axis dims"),
        **each("order", "permutation", to="dims"),
        **each("shape", "new_shape", "output_shape", to="target_shape"),
        **each("num_embeddings", "vocab_size", "vocabulary_size", "num_tokens", to="input_dim num_tokens max_tokens"),
        **each("embedding_dim", "embedding_size", to="output_dim"),
        **each("max_features", "max_vocab", to="max_tokens"),
        **each("max_length", "maxlen", "sequence_length", to="output_sequence_length"),
        **each("padding_idx", to="write `mask_zero: true`: id 0 then does not count"),
        **each("scale_factor", "factor", "scale", to="size scale"),
        **each("mode", to="interpolation"),
        **each(
            "align_corners", "antialias", "ceil_mode", "count_include_pad", to="leave it out: there is one way only"
        ),
        **each("std", "sigma", "stdev", to="stddev"),
        **each("slope", "alpha", to="negative_slope alpha"),
        **each("negative_slope", to="alpha"),
        **each("affine", "elementwise_affine", to="write `center: false` and `scale: false` for no weights"),
        **each("track_running_stats", to="leave it out: moving statistics are always kept"),
        **each("start_dim", "end_dim", to="leave it out: all axes after the batch become one; use Reshape for others"),
        **each("inplace", "device", "sparse", "max_norm", to="leave it out: it is a detail of another framework"),
        **each("weights", "weight", "pretrained", to=PRETRAINED),
        **each("frozen", "freeze", "requires_grad", to="write `trainable: false` to freeze a node"),
        **each(
            "input",
            "from",
            "inbound_nodes",
            "source",
            "after",
            "parents",
            to="name the nodes that it reads: `inputs: x`",
        ),
        **each("outputs", "output", "to", "next", to="leave it out: the nodes after it name it in their `inputs`"),
        **each("params", "arguments", "args", "config", "kwargs", to="write arguments of a layer beside its `type`"),
        **each("times", "copies", "n", to="write `repeat: 2` for copies in a row"),
    }
)

SPECIAL: Mapping[str, Mapping[str, str]] = {
    "BatchNormalization": {
        "alpha": "did you mean 'momentum'? it is 1 - alpha",
        "decay": "momentum",
    },
    "Resizing": each("size", "output_size", "target_size", to="write `height: 32` and `width: 32`"),
    "MultiHeadAttention": each(
        "embed_dim",
        "d_model",
        "hidden_size",
        to=("did you mean 'key_dim'? it is the size of one head: the model's size divided by `num_heads`"),
    ),
    "Optimizer": {
        **each("lr", "rate", "eta", "alpha", "step_size", to="learning_rate"),
        **each("betas", to="they are `beta_1` and `beta_2` of Adam: `{type: Adam, beta_1: 0.9, beta_2: 0.999}`"),
        **each("beta", "beta1", to="beta_1"),
        **each("beta2", to="beta_2"),
        **each("eps", "fuzz", to="epsilon"),
        **each("weight_decay_rate", "wd", "l2", to="weight_decay"),
        **each(
            "momentum",
            "nesterov",
            to=("it is an argument of SGD: `{type: SGD, momentum: 0.9}`; Adam's momentum is `beta_1`"),
        ),
        **each("beta_1", "beta_2", "amsgrad", to="it is an argument of Adam"),
        **each("dampening", "maximize", "foreach", "fused", "capturable", to="leave it out: it is PyTorch's"),
        **each("clip_norm", "max_grad_norm", to="clipnorm"),
        **each("grad_clip", "gradient_clip", "clip", "clip_grad", to="did you mean 'clipnorm'? or `clipvalue`"),
        **each("schedule", "scheduler", "lr_scheduler", "decay_rate", "lr_decay", to=_DECAY),
        **each("params", "parameters", "lr_mult", to="leave it out: it trains all weights that are not frozen"),
    },
    "RMSprop": each("alpha", "beta", to="rho"),
    "ReduceLROnPlateau": each("threshold", "eps", to="min_delta"),
    "ModelCheckpoint": each("path", "file", "filename", "dirpath", to="filepath"),
    "Callback": {
        **each("metric", "quantity", to="monitor"),
        **each("delta", "threshold", "tolerance", to="min_delta"),
        **each("restore_best", to="restore_best_weights"),
        **each("save_best", to="save_best_only"),
        **each("path", "file", to="filename filepath log_dir"),
    },
    "Loss": {
        **each("smoothing", "epsilon", to="label_smoothing"),
        **each("logits", "with_logits", to="from_logits"),
        **each("weight", "weights", "loss_weight", to="write it at the head: `{loss: …, weight: 0.5}`"),
        **each("class_weight", "pos_weight", to="write it at the head: `{loss: …, class_weight: balanced}`"),
        **each("ignore_index", to="ignore_class"),
        **each("beta", to="delta"),
    },
    "Metric": {
        **each("top_k", "n", to="k"),
        **each("num_labels", "n_classes", to="num_classes"),
        **each("task", to="leave it out: it follows from the head"),
    },
}


# Keys of a document and its sections, as other frameworks and plain speech have them.
_CLIP = "write `clipnorm`, `clipvalue` or `global_clipnorm` in the optimizer: `{type: Adam, clipnorm: 1.0}`"
_L2 = "write `kernel_regularizer: {type: L2, l2: 0.01}` in a layer, or `weight_decay` in the optimizer"
_STOP = "it is a callback: `callbacks: [{type: EarlyStopping, monitor: val_loss, patience: 5}]`"
_RATE = "it belongs to the optimizer: `optimizer: {type: Adam, learning_rate: 0.001}`"
_AT_HEAD = "write it at each head, in `outputs`"
_VALIDATION = "write it in `data`: `validation: {split: 0.2}`, or `validation: {file: …}`"
_IN_TRAINING = "write it in `training`: `training: {%s}`"
_ACTIVATION_OF = "write it in the node: `{name: y, type: Dense, units: 1, activation: sigmoid}`"

_OF_LOSS = "it belongs to the loss: `loss: {type: %s}`"

DOCUMENT = table(
    {
        **each("model", "network", "nodes", "nn", "architecture", "net", "modules", "graph", to="layers"),
        **each("input", "features", "columns", "feature_columns", to="inputs"),
        **each("output", "head", "heads", "targets", "target", to="outputs"),
        "labels": "write them at the head: `outputs: {y: {loss: …, labels: [no, yes]}}`",
        **each("train", to="did you mean 'training'? rows to train on are `data: {train: {file: …}}`"),
        **each("validation", "val", to=_VALIDATION),
        **each("test", to="write it in `data`: `test: {file: …}`"),
        **each("dataset", "datasets", to="data"),
        **each("variables", "params", "parameters", "constants", to="vars"),
        **each("version", to="did you mean 'graphspec'? it is the version of the language: `graphspec: 1`"),
        **each("title", "model_name", "id", to="name"),
        **each("loss", "losses", to="write it at each head, in `outputs`: `outputs: {y: {loss: mean_squared_error}}`"),
        **each(
            "metrics",
            "metric",
            to="write it at each head, in `outputs`: `outputs: {y: {loss: …, metrics: [accuracy]}}`",
        ),
        **each(
            "lr",
            "learning_rate",
            to="write it in the optimizer: `training: {optimizer: {type: Adam, learning_rate: 0.001}}`",
        ),
        **each("optimizer", "optimiser", "optim", to=_IN_TRAINING % "optimizer: adam"),
        **each("epochs", "epoch", "num_epochs", "n_epochs", to=_IN_TRAINING % "epochs: 10"),
        **each("batch_size", "batch", "batchsize", to=_IN_TRAINING % "batch_size: 32"),
        **each("seed", "random_seed", "random_state", to=_IN_TRAINING % "seed: 0"),
        **each("callbacks", to=_IN_TRAINING % "callbacks: [EarlyStopping]"),
        **each("workers", "num_workers", to=_IN_TRAINING % "workers: auto"),
        **each("shuffle", to=_IN_TRAINING % "shuffle: true"),
        **each("fit", "trainer", "train_config", "compile", "hyperparameters", "hyperparams", to="training"),
        **each("weights", "pretrained", "init_from", "checkpoint", "load_weights", to=PRETRAINED),
    }
)

HEAD = table(
    {
        **each("loss_weight", "loss_weights", "loss_weighting", "weights", "w", to="weight"),
        **each("class_weights", "pos_weight", to="class_weight"),
        **each("criterion", "objective", "loss_fn", "loss_function", to="loss"),
        **each("metric", "measures", "scores", to="metrics"),
        **each("classes", "class_names", "names", "categories", to="labels"),
        **each("node", "from", "source", "input", "inputs", to="layer"),
        **each("activation", "units", "type", to=_ACTIVATION_OF),
        **each("standardize", "normalize", to="write `scale: standard`"),
        **each("threshold", to="write it in a metric: `{type: BinaryAccuracy, threshold: 0.5}`"),
        **each("from_logits", to=_OF_LOSS % "binary_crossentropy, from_logits: true"),
        **each("label_smoothing", to=_OF_LOSS % "categorical_crossentropy, label_smoothing: 0.1"),
        **each("delta", to=_OF_LOSS % "huber, delta: 1.0"),
        **each("reduction", to=_OF_LOSS % "mean_squared_error, reduction: sum"),
        **each("column", "file", to="write the column in `data`: `train: {file: …, targets: {head: column}}`"),
    }
)

TRAINING = table(
    {
        **each("lr", "learning_rate", "learningrate", to=_RATE),
        **each(
            "momentum",
            "weight_decay",
            "betas",
            "beta_1",
            to=("it belongs to the optimizer: `optimizer: {type: SGD, momentum: 0.9}`"),
        ),
        **each(
            "scheduler",
            "lr_scheduler",
            "schedule",
            "learning_rate_schedule",
            "warmup_steps",
            "decay",
            to=(
                "write a schedule as the optimizer's rate: `optimizer: {type: Adam, learning_rate: {type: CosineDecay, …}}`"
            ),
        ),
        **each("optimiser", "optim", "solver", to="optimizer"),
        **each("epoch", "num_epochs", "n_epochs", "max_epochs", "iterations", "nb_epoch", to="epochs"),
        **each("steps_per_epoch", "max_steps", to="leave it out: an epoch is every row once; `epochs` says how many"),
        **each("batch", "batchsize", "minibatch", "train_batch_size", to="batch_size"),
        **each("random_state", "random_seed", "manual_seed", to="seed"),
        **each("num_workers", "n_jobs", "processes", "threads", to="workers"),
        **each("loss", "losses", "metrics", "metric", "class_weight", "class_weights", to=_AT_HEAD),
        **each("loss_weight", "loss_weights", to="write `weight` at each head, in `outputs`: `{loss: …, weight: 0.5}`"),
        **each("sample_weight", "sample_weights", to="add an array or column `<head>_weight` to the data"),
        **each("validation_split", "validation_data", "validation", "val_split", to=_VALIDATION),
        **each(
            "data", "dataset", "train", "file", to="write it in `data`, beside `training`: `data: {train: {file: …}}`"
        ),
        **each("early_stopping", "patience", "early_stop", to=_STOP),
        **each(
            "checkpoint",
            "save_best",
            "save_best_only",
            to=(
                "it is a callback: `callbacks: [{type: ModelCheckpoint, filepath: best.safetensors, save_best_only: true}]`"
            ),
        ),
        **each("gradient_clip", "grad_clip", "clipnorm", "clip_grad_norm", "gradient_clip_val", to=_CLIP),
        **each(
            "gradient_accumulation",
            "accumulate_grad_batches",
            "gradient_accumulation_steps",
            to=("it belongs to the optimizer: `{type: Adam, gradient_accumulation_steps: 4}`"),
        ),
        **each(
            "dtype", "precision", "amp", "fp16", "mixed_precision", to="leave it out: everything is computed in float32"
        ),
        **each(
            "device",
            "gpu",
            "gpus",
            "accelerator",
            to="leave it out: graphspec trains on the CPU; `workers: auto` uses its cores",
        ),
        **each("verbose", "log_interval", "progress", to="leave it out: `train --log-every 1` shows every epoch"),
        **each("jit_compile", "run_eagerly", to="leave it out: the graph is always compiled"),
        **each("l1", "l2", "regularization", to=_L2),
        **each("callback", "hooks", to="callbacks"),
        **each("weights", "pretrained", "init_from", "checkpoint_path", "resume_from", to="initial_weights"),
    }
)

INPUT = table(
    {
        **each("batch_shape", "batch_size", "batch_input_shape", to="do not write the batch axis: it varies"),
        "columns": "each column has a shape of its own: remove `shape`",
        **each(
            "input_shape",
            "dims",
            "dimensions",
            "size",
            "dim",
            "features",
            "units",
            "in_features",
            "input_dim",
            to="shape",
        ),
        **each("width", "height", "channels", to="write all sizes in `shape`: `shape: [28, 28, 1]`"),
        **each("type", "data_type", "kind", to="dtype"),
        **each("file", "path", "source", to="write files in `data`: `data: {train: {file: …}}`"),
        **each("key", "array", "field", to="column"),
        **each("vocabulary", "vocab_size", to="write it in the layer that reads the input: StringLookup or Embedding"),
    }
)

DATA = table(
    {
        **each("path", "filename", "csv", "table", "filepath", "parquet", "npz", "source", to="file"),
        **each("sql", "select", to="query"),
        **each("x", "features", "columns", "input", to="inputs"),
        **each("y", "target", "label", "output", "outputs", to="targets"),
        **each("directory", "dir", "image_folder", "pictures", "image_dir", to="images"),
        **each("text", "text_folder", to="texts"),
        **each("window", "sequence_length", "lookback", "horizon", to="write `windows: {length: 24, horizon: 12}`"),
        **each(
            "validation_split",
            "val_split",
            "fraction",
            "size",
            to=("write it at the validation rows: `validation: {split: 0.2}`"),
        ),
        **each("batch_size", "shuffle", "seed", "workers", to="write it in `training`"),
        **each("stratified", to="stratify"),
        **each("dropna", to="drop_missing_targets"),
    }
)

VALIDATION = table({"last": "write `split: {last: 0.2}`, or for windows `split: 0.2, by: time`"})

PARTS = table(
    {
        **each("training", "train_data", "trn", to="train"),
        **each("val", "valid", "dev", "validation_data", "eval", "holdout", to="validation"),
        **each("testing", "test_data", to="test"),
        **each("file", "path", "csv", to="name the part first: `train: {file: rows.csv}`"),
        **each("validation_split", "split", "val_split", to="write `validation: {split: 0.2}`"),
        **each("batch_size", "shuffle", "seed", to="write it in `training`"),
    }
)


# A value of several words is a hint. Otherwise it names our keys, the likeliest first: the hint is the first of them
# that the class has. The tables are by class: a table is for the class of that name and for all classes derived from
# it, and the most special table comes first.
KEYS: Mapping[str, Mapping[str, str]] = {
    "HeadKeys": HEAD,
    "TrainingKeys": TRAINING,
    "InputKeys": INPUT,
    "ValidationKeys": VALIDATION,
    "DataKeys": DATA,
    "Layer": LAYER,
    **{name: table(texts) for name, texts in SPECIAL.items()},
}
"""The synonyms of keys by the name of a class, or of a class that it is derived from."""


def key_synonym(key: str, classes: Sequence[str], *known: Collection[str]) -> str | None:
    """Return a hint for an unknown ``key``, or None if it is no synonym.

    Args:
        classes: the names of the class and its bases, the class first.
        known: keys that the class accepts. Those of the first collection are preferred.
    """
    folded = fold(key)
    tables = (KEYS[name] for name in classes if name in KEYS)
    texts = [text for known_keys in tables if (text := known_keys.get(key) or known_keys.get(folded)) is not None]
    hints = (hint for names in known for text in texts if (hint := _hint(key, text, names)) is not None)
    return next(hints, None)


def found(key: str, texts: Mapping[str, str], known: Collection[str]) -> str | None:
    """Return a hint for ``key`` from one table, or None if it is no synonym."""
    text = texts.get(key) or texts.get(fold(key))
    return None if text is None else _hint(key, text, known)


def _hint(key: str, text: str, known: Collection[str]) -> str | None:
    """Return the hint of an entry: the first name that is ``known``, or the sentence."""
    if _is_sentence(text):
        return text
    name = next((name for name in text.split() if name in known and name != key), None)
    return None if name is None else f"did you mean '{name}'?"


def _is_sentence(text: str) -> bool:
    return re.fullmatch(r"[a-z_0-9]+( [a-z_0-9]+)*", text) is None
