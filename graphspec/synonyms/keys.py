"""Keys that other frameworks and plain speech have for the arguments of classes and for the keys of a document.

A value of several words is a hint. Otherwise it names our keys, the likeliest first: the hint is the first of them that
the class has. The tables are by class: a table is for the class of that name and for all classes derived from it, and the
most special table comes first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence


def _each(*keys: str, to: str) -> Mapping[str, str]:
    return dict.fromkeys(keys, to)


_PRETRAINED = (
    "a spec has no key for weights: set them from Python, `gs.load(run)`, then `model.set_weights(…)`; "
    "`trainable: false` on a node freezes it"
)
_INFERRED = "leave it out: it is inferred from the input"
_DECAY = "write a schedule as the rate: `learning_rate: {type: CosineDecay, …}`"
_CLIP = "write `clipnorm`, `clipvalue` or `global_clipnorm` in the optimizer: `{type: Adam, clipnorm: 1.0}`"
_L2 = "write `kernel_regularizer: {type: L2, l2: 0.01}` in a layer, or `weight_decay` in the optimizer"
_STOP = "it is a callback: `callbacks: [{type: EarlyStopping, monitor: val_loss, patience: 5}]`"
_RATE = "it belongs to the optimizer: `optimizer: {type: Adam, learning_rate: 0.001}`"
_AT_HEAD = "write it at each head, in `outputs`"
_VALIDATION = "write it in `data`: `validation: {split: 0.2}`, or `validation: {file: …}`"
_IN_TRAINING = "write it in `training`: `training: {%s}`"
_ACTIVATION_OF = "write it in the node: `{name: y, type: Dense, units: 1, activation: sigmoid}`"
_OWN_NODE = "write it as a node of its own after this one: `{type: %s}`"


def _fold(key: str) -> str:
    return key.replace("_", "").replace("-", "").replace(" ", "").lower()


def _table(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Return a table that also has its keys without underscores."""
    return {_fold(key): text for key, text in texts.items()} | dict(texts)


DOCUMENT = _table(
    {
        **_each("model", "network", "nodes", "nn", "architecture", "net", "modules", "graph", to="layers"),
        **_each("input", "features", "columns", "feature_columns", to="inputs"),
        **_each("output", "head", "heads", "targets", "target", to="outputs"),
        "labels": "write them at the head: `outputs: {y: {loss: …, labels: [no, yes]}}`",
        **_each("train", to="did you mean 'training'? rows to train on are `data: {train: {file: …}}`"),
        **_each("validation", "val", to=_VALIDATION),
        **_each("test", to="write it in `data`: `test: {file: …}`"),
        **_each("dataset", "datasets", to="data"),
        **_each("variables", "params", "parameters", "constants", to="vars"),
        **_each("version", to="did you mean 'graphspec'? it is the version of the language: `graphspec: 1`"),
        **_each("title", "model_name", "id", to="name"),
        **_each("loss", "losses", to="write it at each head, in `outputs`: `outputs: {y: {loss: mean_squared_error}}`"),
        **_each(
            "metrics",
            "metric",
            to="write it at each head, in `outputs`: `outputs: {y: {loss: …, metrics: [accuracy]}}`",
        ),
        **_each(
            "lr",
            "learning_rate",
            to="write it in the optimizer: `training: {optimizer: {type: Adam, learning_rate: 0.001}}`",
        ),
        **_each("optimizer", "optimiser", "optim", to=_IN_TRAINING % "optimizer: adam"),
        **_each("epochs", "epoch", "num_epochs", "n_epochs", to=_IN_TRAINING % "epochs: 10"),
        **_each("batch_size", "batch", "batchsize", to=_IN_TRAINING % "batch_size: 32"),
        **_each("seed", "random_seed", "random_state", to=_IN_TRAINING % "seed: 0"),
        **_each("callbacks", to=_IN_TRAINING % "callbacks: [EarlyStopping]"),
        **_each("workers", "num_workers", to=_IN_TRAINING % "workers: auto"),
        **_each("shuffle", to=_IN_TRAINING % "shuffle: true"),
        **_each("fit", "trainer", "train_config", "compile", "hyperparameters", "hyperparams", to="training"),
        **_each("weights", "pretrained", "init_from", "checkpoint", "load_weights", to=_PRETRAINED),
    }
)

HEAD = _table(
    {
        **_each("loss_weight", "loss_weights", "loss_weighting", "weights", "w", to="weight"),
        **_each("class_weights", "pos_weight", to="class_weight"),
        **_each("criterion", "objective", "loss_fn", "loss_function", to="loss"),
        **_each("metric", "measures", "scores", to="metrics"),
        **_each("classes", "class_names", "names", "categories", to="labels"),
        **_each("node", "from", "source", "input", "inputs", to="layer"),
        **_each("activation", "units", "type", to=_ACTIVATION_OF),
        **_each("standardize", "normalize", to="write `scale: standard`"),
        **_each("threshold", to="write it in a metric: `{type: BinaryAccuracy, threshold: 0.5}`"),
        **_each(
            "from_logits",
            "reduction",
            "label_smoothing",
            "delta",
            to=("it belongs to the loss: `loss: {type: binary_crossentropy, from_logits: true}`"),
        ),
        **_each(
            "column", "target", "file", to="write the column in `data`: `train: {file: …, targets: {head: column}}`"
        ),
    }
)

TRAINING = _table(
    {
        **_each("lr", "learning_rate", "learningrate", to=_RATE),
        **_each(
            "momentum",
            "weight_decay",
            "betas",
            "beta_1",
            to=("it belongs to the optimizer: `optimizer: {type: SGD, momentum: 0.9}`"),
        ),
        **_each(
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
        **_each("optimiser", "optim", "solver", to="optimizer"),
        **_each("epoch", "num_epochs", "n_epochs", "max_epochs", "iterations", "nb_epoch", to="epochs"),
        **_each("steps_per_epoch", "max_steps", to="leave it out: an epoch is every row once; `epochs` says how many"),
        **_each("batch", "batchsize", "minibatch", "train_batch_size", to="batch_size"),
        **_each("random_state", "random_seed", "manual_seed", to="seed"),
        **_each("num_workers", "n_jobs", "processes", "threads", to="workers"),
        **_each("loss", "losses", "metrics", "metric", "class_weight", "class_weights", to=_AT_HEAD),
        **_each(
            "loss_weight", "loss_weights", to="write `weight` at each head, in `outputs`: `{loss: …, weight: 0.5}`"
        ),
        **_each("sample_weight", "sample_weights", to="add an array or column `<head>_weight` to the data"),
        **_each("validation_split", "validation_data", "validation", "val_split", to=_VALIDATION),
        **_each(
            "data", "dataset", "train", "file", to="write it in `data`, beside `training`: `data: {train: {file: …}}`"
        ),
        **_each("early_stopping", "patience", "early_stop", to=_STOP),
        **_each(
            "checkpoint",
            "save_best",
            "save_best_only",
            to=(
                "it is a callback: `callbacks: [{type: ModelCheckpoint, filepath: best.safetensors, save_best_only: true}]`"
            ),
        ),
        **_each("gradient_clip", "grad_clip", "clipnorm", "clip_grad_norm", "gradient_clip_val", to=_CLIP),
        **_each(
            "gradient_accumulation",
            "accumulate_grad_batches",
            "gradient_accumulation_steps",
            to=("it belongs to the optimizer: `{type: Adam, gradient_accumulation_steps: 4}`"),
        ),
        **_each(
            "dtype", "precision", "amp", "fp16", "mixed_precision", to="leave it out: everything is computed in float32"
        ),
        **_each(
            "device",
            "gpu",
            "gpus",
            "accelerator",
            to="leave it out: graphspec trains on the CPU; `workers: auto` uses its cores",
        ),
        **_each("verbose", "log_interval", "progress", to="leave it out: the command shows every epoch"),
        **_each("jit_compile", "run_eagerly", to="leave it out: the graph is always compiled"),
        **_each("l1", "l2", "regularization", to=_L2),
        **_each("callback", "hooks", to="callbacks"),
        **_each("weights", "pretrained", "init_from", "checkpoint_path", "resume_from", to=_PRETRAINED),
    }
)

INPUT = _table(
    {
        **_each("batch_shape", "batch_size", "batch_input_shape", to="do not write the batch axis: it varies"),
        "columns": "each column has a shape of its own: remove `shape`",
        **_each(
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
        **_each("width", "height", "channels", to="write all sizes in `shape`: `shape: [28, 28, 1]`"),
        **_each("type", "data_type", "kind", to="dtype"),
        **_each("file", "path", "source", to="write files in `data`: `data: {train: {file: …}}`"),
        **_each("key", "array", "field", to="column"),
        **_each("vocabulary", "vocab_size", to="write it in the layer that reads the input: StringLookup or Embedding"),
    }
)

DATA = _table(
    {
        **_each("path", "filename", "csv", "table", "filepath", "parquet", "npz", "source", to="file"),
        **_each("sql", "select", to="query"),
        **_each("x", "features", "columns", "input", to="inputs"),
        **_each("y", "target", "label", "output", "outputs", to="targets"),
        **_each("directory", "dir", "image_folder", "pictures", "image_dir", to="images"),
        **_each("text", "text_folder", to="texts"),
        **_each("window", "sequence_length", "lookback", "horizon", to="write `windows: {length: 24, horizon: 12}`"),
        **_each(
            "validation_split",
            "val_split",
            "fraction",
            "size",
            to=("write it at the validation rows: `validation: {split: 0.2}`"),
        ),
        **_each("batch_size", "shuffle", "seed", "workers", to="write it in `training`"),
        **_each("stratified", to="stratify"),
        **_each("dropna", to="drop_missing_targets"),
    }
)

PARTS = _table(
    {
        **_each("training", "train_data", "trn", to="train"),
        **_each("val", "valid", "dev", "validation_data", "eval", "holdout", to="validation"),
        **_each("testing", "test_data", to="test"),
        **_each("file", "path", "csv", to="name the part first: `train: {file: rows.csv}`"),
        **_each("validation_split", "split", "val_split", to="write `validation: {split: 0.2}`"),
        **_each("batch_size", "shuffle", "seed", to="write it in `training`"),
    }
)

_SIZES = "units filters output_dim"
LAYER = _table(
    {
        **_each(
            "input_shape",
            "batch_input_shape",
            "batch_shape",
            to=("leave it out: it is inferred; `inputs: {x: {shape: [4]}}` declares the input of the network"),
        ),
        **_each(
            "input_dim", "in_features", "in_channels", "input_size", "num_features", "normalized_shape", to=_INFERRED
        ),
        **_each("num_channels", "in_dim", "n_in", "fan_in", "input_length", "kdim", "vdim", to=_INFERRED),
        **_each("embed_dim", "d_model", "model_dim", to=f"output_dim key_dim {_SIZES}"),
        "build_config": "leave it out: shapes are inferred from `inputs`",
        **_each("out_features", "out_channels", "output_size", "out_dim", "n_out", "output_dim", to=_SIZES),
        **_each("hidden_size", "hidden_units", "hidden_dim", "num_units", "n_units", "neurons", "nodes", to=_SIZES),
        **_each("units", "filters", "channels", "width", "dim", "size", to=f"{_SIZES} axis pool_size kernel_size"),
        **_each("num_filters", "n_filters", "nb_filter", "depth", to="filters"),
        **_each(
            "kernel", "window", "filter_size", "ksize", "k", "kernel_shape", "kernel_size", to="kernel_size pool_size"
        ),
        **_each("pool", "pool_length", to="pool_size"),
        **_each("stride", "step", "subsample", to="strides"),
        **_each("pad", "border_mode", to="padding"),
        **_each("padding_mode", to="leave it out: padding is with zeros"),
        **_each("dilation", "dilations", "atrous_rate", to="dilation_rate"),
        **_each("group", "num_groups", "n_groups", to="groups"),
        **_each("bias", "has_bias", "with_bias", "add_bias", to="use_bias"),
        **_each("eps", "variance_epsilon", to="epsilon"),
        **_each("act", "nonlinearity", "activation_fn", "activation_function", "non_linearity", to="activation"),
        **_each("recurrent_nonlinearity", to="recurrent_activation"),
        **_each(
            "init",
            "initializer",
            "weight_init",
            "kernel_init",
            "weight_initializer",
            to=("kernel_initializer embeddings_initializer"),
        ),
        **_each("bias_init", to="bias_initializer"),
        **_each("W_regularizer", "weight_regularizer", "regularizer", to="kernel_regularizer embeddings_regularizer"),
        **_each("W_constraint", "weight_constraint", to="kernel_constraint"),
        **_each("l1", "l2", "weight_decay", to="write `kernel_regularizer: {type: L2, l2: 0.01}`"),
        **_each("dropout_rate", "drop_rate", "drop_prob", "attn_dropout", "p", "prob", to="dropout rate"),
        **_each("dropout", to=_OWN_NODE % "Dropout, rate: 0.5"),
        **_each("batch_norm", "batchnorm", "use_bn", "norm", to=_OWN_NODE % "BatchNormalization"),
        **_each("num_layers", "n_layers", "stacked", to="write one node per layer, or `repeat: 2` on this one"),
        **_each("bidirectional", to="write `{type: Bidirectional, layer: {type: LSTM, units: 64}}`"),
        **_each("batch_first", to="leave it out: the batch is always the first axis"),
        **_each("heads", "n_heads", "nhead", "num_attention_heads", to="num_heads"),
        **_each("head_dim", "head_size", "dim_head", to="key_dim head_dim"),
        **_each("return_sequence", "return_seq", "seq", to="return_sequences"),
        **_each("dims", "along", to="axis dims"),
        **_each("order", "permutation", to="dims"),
        **_each("shape", "new_shape", "output_shape", to="target_shape"),
        **_each("num_embeddings", "vocab_size", "vocabulary_size", "num_tokens", to="input_dim num_tokens max_tokens"),
        **_each("embedding_dim", "embedding_size", to="output_dim"),
        **_each("max_features", "max_vocab", to="max_tokens"),
        **_each("max_length", "maxlen", "sequence_length", to="output_sequence_length"),
        **_each("padding_idx", to="write `mask_zero: true`: id 0 then does not count"),
        **_each("scale_factor", "factor", "scale", to="size scale"),
        **_each("mode", to="interpolation"),
        **_each(
            "align_corners", "antialias", "ceil_mode", "count_include_pad", to="leave it out: there is one way only"
        ),
        **_each("std", "sigma", "stdev", to="stddev"),
        **_each("slope", "alpha", to="negative_slope alpha"),
        **_each("negative_slope", to="alpha"),
        **_each("affine", "elementwise_affine", to="write `center: false` and `scale: false` for no weights"),
        **_each("track_running_stats", to="leave it out: moving statistics are always kept"),
        **_each("start_dim", "end_dim", to="leave it out: all axes after the batch become one; use Reshape for others"),
        **_each("inplace", "device", "sparse", "max_norm", to="leave it out: it is a detail of another framework"),
        **_each("weights", "weight", "pretrained", to=_PRETRAINED),
        **_each("frozen", "freeze", "requires_grad", to="write `trainable: false` to freeze a node"),
        **_each(
            "input",
            "from",
            "inbound_nodes",
            "source",
            "after",
            "parents",
            to="name the nodes that it reads: `inputs: x`",
        ),
        **_each("outputs", "output", "to", "next", to="leave it out: the nodes after it name it in their `inputs`"),
        **_each("params", "arguments", "args", "config", "kwargs", to="write arguments of a layer beside its `type`"),
        **_each("times", "copies", "n", to="write `repeat: 2` for copies in a row"),
    }
)

SPECIAL: Mapping[str, Mapping[str, str]] = {
    "BatchNormalization": {
        "alpha": "did you mean 'momentum'? it is 1 - alpha",
        "decay": "momentum",
    },
    "Resizing": _each("size", "output_size", "target_size", to="write `height: 32` and `width: 32`"),
    "MultiHeadAttention": _each(
        "embed_dim",
        "d_model",
        "hidden_size",
        to=("did you mean 'key_dim'? it is the size of one head: the model's size divided by `num_heads`"),
    ),
    "Optimizer": {
        **_each("lr", "rate", "eta", "alpha", "step_size", to="learning_rate"),
        **_each("betas", to="they are `beta_1` and `beta_2` of Adam: `{type: Adam, beta_1: 0.9, beta_2: 0.999}`"),
        **_each("beta", "beta1", to="beta_1"),
        **_each("beta2", to="beta_2"),
        **_each("eps", "fuzz", to="epsilon"),
        **_each("weight_decay_rate", "wd", "l2", to="weight_decay"),
        **_each(
            "momentum",
            "nesterov",
            to=("it is an argument of SGD: `{type: SGD, momentum: 0.9}`; Adam's momentum is `beta_1`"),
        ),
        **_each("beta_1", "beta_2", "amsgrad", to="it is an argument of Adam"),
        **_each("dampening", "maximize", "foreach", "fused", "capturable", to="leave it out: it is PyTorch's"),
        **_each("clip_norm", "max_grad_norm", to="clipnorm"),
        **_each("grad_clip", "gradient_clip", "clip", "clip_grad", to="did you mean 'clipnorm'? or `clipvalue`"),
        **_each("schedule", "scheduler", "lr_scheduler", "decay_rate", "lr_decay", to=_DECAY),
        **_each("params", "parameters", "lr_mult", to="leave it out: it trains all weights that are not frozen"),
    },
    "RMSprop": _each("alpha", "beta", to="rho"),
    "ReduceLROnPlateau": _each("threshold", "eps", to="min_delta"),
    "ModelCheckpoint": _each("path", "file", "filename", "dirpath", to="filepath"),
    "Callback": {
        **_each("metric", "quantity", to="monitor"),
        **_each("delta", "threshold", "tolerance", to="min_delta"),
        **_each("restore_best", to="restore_best_weights"),
        **_each("save_best", to="save_best_only"),
        **_each("path", "file", to="filename filepath log_dir"),
    },
    "Loss": {
        **_each("smoothing", "epsilon", to="label_smoothing"),
        **_each("logits", "with_logits", to="from_logits"),
        **_each("weight", "weights", "loss_weight", to="write it at the head: `{loss: …, weight: 0.5}`"),
        **_each("class_weight", "pos_weight", to="write it at the head: `{loss: …, class_weight: balanced}`"),
        **_each("ignore_index", to="ignore_class"),
        **_each("beta", to="delta"),
    },
    "Metric": {
        **_each("top_k", "n", to="k"),
        **_each("num_labels", "n_classes", to="num_classes"),
        **_each("task", to="leave it out: it follows from the head"),
    },
}

KEYS: Mapping[str, Mapping[str, str]] = {
    "HeadKeys": HEAD,
    "TrainingKeys": TRAINING,
    "InputKeys": INPUT,
    "DataKeys": DATA,
    "Layer": LAYER,
    **{name: _table(texts) for name, texts in SPECIAL.items()},
}
"""The synonyms of keys by the name of a class, or of a class that it is derived from."""


def key_synonym(key: str, classes: Sequence[str], *known: Collection[str]) -> str | None:
    """Return a hint for an unknown ``key``, or None if it is no synonym.

    Args:
        classes: the names of the class and its bases, the class first.
        known: keys that the class accepts. Those of the first collection are preferred.
    """
    folded = _fold(key)
    tables = (KEYS[name] for name in classes if name in KEYS)
    texts = [text for table in tables if (text := table.get(key) or table.get(folded)) is not None]
    hints = (hint for names in known for text in texts if (hint := _hint(key, text, names)) is not None)
    return next(hints, None)


def found(key: str, table: Mapping[str, str], known: Collection[str]) -> str | None:
    """Return a hint for ``key`` from one table, or None if it is no synonym."""
    text = table.get(key) or table.get(_fold(key))
    return None if text is None else _hint(key, text, known)


def _hint(key: str, text: str, known: Collection[str]) -> str | None:
    """Return the hint of an entry: the first name that is ``known``, or the sentence."""
    if _is_sentence(text):
        return text
    name = next((name for name in text.split() if name in known and name != key), None)
    return None if name is None else f"did you mean '{name}'?"


def _is_sentence(text: str) -> bool:
    return re.fullmatch(r"[a-z_0-9]+( [a-z_0-9]+)*", text) is None
