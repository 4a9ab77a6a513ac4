"""Keys of a document and its sections, as other frameworks and plain speech have them."""

from __future__ import annotations

from graphspec.base.synonyms.tables import PRETRAINED, each, table

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
