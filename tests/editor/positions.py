"""Positions in specs, and what an editor shows there: a list for every kind of answer.

Each text is a part of a spec; ``spec_of`` adds the sections that it lacks. ``▮`` is the cursor. In a flow mapping on a line
with a colon, yaml-language-server offers keys only after their first letter, whatever the schema.
"""

from __future__ import annotations

from typing import NamedTuple

from graphspec.vocabulary.layers import LAYERS

CURSOR = "▮"
EVERY_LAYER = len(LAYERS.names())
SECTIONS = {
    "inputs": "inputs: {x: {shape: [8, 4]}}\n",
    "layers": "layers: [{name: y, type: Flatten}]\n",
    "outputs": "outputs: {y: {}}\n",
}


class Completion(NamedTuple):
    """Entries that an editor offers at the cursor, and entries that it does not."""

    text: str
    offered: tuple[str, ...]
    absent: tuple[str, ...] = ()
    at_most: int = 200


class Hover(NamedTuple):
    """Parts of the text under the mouse, and what is no part of it."""

    text: str
    parts: tuple[str, ...]
    absent: tuple[str, ...] = ()


class Mistake(NamedTuple):
    """A mistake, and the messages about it: of the schema, not of graphspec."""

    text: str
    messages: tuple[str, ...]


LAYER_KEYS = ("type", "block", "share", "name", "inputs")
DENSE_KEYS = (
    "units",
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_constraint",
    "trainable",
    "repeat",
    "inputs",
)

COMPLETIONS = (
    # keys of the document
    Completion("▮", ("training", "data", "vars", "blocks"), ("inputs", "layers", "file"), 8),
    Completion("tr▮", ("training",)),
    # entries of `layers`, in block style and in flow style
    Completion("layers:\n  - ▮", LAYER_KEYS, ("units", "node.ReLU", "ReLU"), 8),
    Completion("layers:\n  - {name: a, type: Flatten}\n  - ▮\n", LAYER_KEYS, ("units", "node.ReLU"), 8),
    Completion("layers:\n  - {▮}", LAYER_KEYS, ("units", "node.ReLU"), 8),
    Completion("layers:\n  - name: a\n    ▮", ("type", "block", "share", "inputs"), ("name", "units"), 8),
    Completion(
        "layers:\n  - name: a\n    type: ▮", ("Dense", "Conv2D", "LSTM", "MaxPool2D"), ("Lambda", "Input"), EVERY_LAYER
    ),
    Completion(
        "layers:\n  - {name: a, type: ▮}", ("Dense", "TextVectorization"), ("Lambda", "node.Dense"), EVERY_LAYER
    ),
    Completion("layers:\n  - {name: a, type: De▮}", ("Dense", "DepthwiseConv2D"), ("Lambda",), EVERY_LAYER),
    Completion("layers:\n  - type: ▮", ("Dense", "Flatten"), (), EVERY_LAYER),
    # arguments: of the type alone
    Completion("layers:\n  - name: a\n    type: Dense\n    ▮", DENSE_KEYS, ("filters", "name", "block", "dtype"), 20),
    Completion("layers:\n  - name: a\n    type: Dense\n    u▮", ("units", "use_bias"), ("filters",), 20),
    Completion("layers:\n  - {name: a, type: Dense, u▮}", ("units", "use_bias"), ("filters", "unroll"), 20),
    Completion("layers:\n  - {name: a,\n     type: Dense,\n     ▮}", ("units", "activation"), ("filters",), 20),
    Completion("layers:\n  - {name: a, type: Conv2D, k▮}", ("kernel_size", "filters"), ("output_padding", "units"), 25),
    Completion("layers:\n  - {name: a, type: Conv2DTranspose, o▮}", ("output_padding",)),
    Completion("layers:\n  - {type: LSTM, s▮}", ("return_sequences", "seed"), ("stateful", "unroll", "use_cudnn")),
    Completion(
        "layers:\n  - name: a\n    type: MultiHeadAttention\n    ▮", ("num_heads", "key_dim"), ("flash_attention",)
    ),
    Completion("layers:\n  - name: a\n    block: b\n    ▮", ("params", "repeat", "inputs"), ("units", "type"), 8),
    Completion("layers:\n  - name: a\n    share: b\n    ▮", ("inputs",), ("units", "type", "repeat"), 4),
    # values of arguments
    Completion("layers:\n  - {type: Conv2D, padding: ▮}", ("valid", "same"), ("causal",), 4),
    Completion("layers:\n  - {type: Conv1D, padding: ▮}", ("valid", "same", "causal"), (), 5),
    Completion("layers:\n  - type: Conv1D\n    padding: ▮", ("valid", "same", "causal"), (), 5),
    Completion("layers:\n  - {type: Dense, activation: ▮}", ("relu", "softmax", "gelu", "null")),
    Completion("layers:\n  - {type: Dense, activation: re▮}", ("relu", "relu6")),
    Completion("layers:\n  - {type: Dense, use_bias: ▮}", ("true", "false"), (), 4),
    Completion("layers:\n  - {type: Dense, kernel_initializer: ▮}", ("he_normal", "HeNormal", "zeros"), ("relu",)),
    Completion("layers:\n  - {type: Dense, kernel_regularizer: {type: ▮}}", ("L2", "L1"), ("relu",)),
    Completion("layers:\n  - type: Dense\n    kernel_regularizer:\n      type: L2\n      ▮", ("l2",), ("l1",), 4),
    Completion("layers:\n  - {type: LSTM, stateful: ▮}", ("false",), ("true",), 2),
    Completion("layers:\n  - type: TimeDistributed\n    layer:\n      type: ▮", ("Dense", "Conv2D"), (), EVERY_LAYER),
    Completion(
        "layers:\n  - type: TimeDistributed\n    layer:\n      type: Dense\n      ▮", ("units",), ("repeat", "inputs")
    ),
    # inputs and records
    Completion("inputs:\n  x:\n    ▮", ("shape", "dtype", "columns"), ("crosses",), 8),
    Completion("inputs:\n  x:\n    shape: [4]\n    ▮", ("dtype", "column"), ("columns", "shape"), 4),
    Completion("inputs: {x: {shape: [4], dtype: ▮}}", ("float32", "int64", "string"), ("float16",), 8),
    Completion(
        "inputs:\n  p:\n    columns:\n      age: ▮", ("number", "category", "text", "date", "image"), ("relu",), 6
    ),
    Completion("inputs: {p: {columns: {age: ▮}}}", ("number", "category", "text"), (), 6),
    Completion("inputs: {p: {columns: {age: {type: ▮}}}}", ("number", "date"), (), 6),
    Completion(
        "inputs:\n  p:\n    columns:\n      age:\n        type: number\n        ▮",
        ("missing", "scale"),
        ("vocabulary",),
        8,
    ),
    Completion("inputs: {p: {columns: {age: {type: number, missing: ▮}}}}", ("median", "mean"), (), 8),
    Completion("inputs: {p: {columns: {age: {type: number, scale: ▮}}}}", ("robust", "minmax"), (), 7),
    Completion("inputs:\n  p:\n    columns: {a: category, b: category}\n    ▮", ("crosses",), ("shape", "columns"), 2),
    # heads, training, data, blocks
    Completion(
        "outputs:\n  y:\n    ▮", ("loss", "metrics", "weight", "class_weight", "labels", "scale"), ("layers",), 15
    ),
    Completion("outputs: {y: {l▮}}", ("loss", "labels", "layer"), ("learning_rate",), 15),
    Completion("outputs: {y: {loss: ▮}}", ("mse", "mean_squared_error", "sparse_categorical_crossentropy"), ("Loss",)),
    Completion("outputs:\n  y:\n    metrics:\n      - ▮", ("accuracy", "AUC", "F1Score"), ("Metric", "mse_loss")),
    # in a flow list, the server offers every name as an item of a block list, too
    Completion("outputs: {y: {metrics: [▮]}}", ("accuracy", "AUC", "F1Score"), ("Metric",), 300),
    Completion("outputs: {y: {scale: ▮}}", ("standard", "null"), (), 3),
    Completion("training:\n  ▮", ("optimizer", "epochs", "batch_size", "callbacks", "workers"), ("loss",), 14),
    Completion("training: {optimizer: ▮}", ("adam", "Adam", "SGD"), ("Optimizer", "LossScaleOptimizer")),
    Completion("training:\n  optimizer:\n    type: ▮", ("Adam", "SGD"), ("Optimizer",)),
    Completion("training:\n  optimizer:\n    type: SGD\n    ▮", ("learning_rate", "momentum"), ("beta_1",), 30),
    Completion(
        "training:\n  optimizer:\n    type: SGD\n    learning_rate:\n      type: ▮", ("CosineDecay",), ("SGD",), 12
    ),
    Completion(
        "training:\n  callbacks:\n    - type: ▮", ("EarlyStopping", "CSVLogger"), ("LambdaCallback", "RemoteMonitor")
    ),
    Completion("training: {callbacks: [{type: EarlyStopping, p▮}]}", ("patience", "monitor"), ("filepath",), 12),
    Completion("training: {combine: ▮}", ("mean", "sum"), (), 3),
    Completion("data:\n  ▮", ("train", "validation", "test"), ("file",), 4),
    Completion("data:\n  train:\n    ▮", ("file", "query", "images", "windows"), ("split",), 16),
    Completion("data:\n  validation:\n    ▮", ("split", "stratify", "file"), (), 19),
    Completion(
        "data:\n  train:\n    file: a.csv\n    windows:\n      ▮",
        ("length", "horizon", "stride", "every"),
        ("file",),
        13,
    ),
    Completion("blocks:\n  b:\n    ▮", ("params", "inputs", "layers", "outputs"), ("type",), 7),
    Completion(
        "blocks:\n  b:\n    inputs: x\n    layers:\n      - {type: ▮}", ("Dense", "LSTM"), ("Lambda",), EVERY_LAYER
    ),
)

HOVERS = (
    Hover(
        "layers: [{type: De▮nse, units: 1}]",
        ("#### Dense\n", "An affine map", "Arguments: units, activation"),
        ("Conv2D",),
    ),
    Hover("layers: [{ty▮pe: Dense, units: 1}]", ("#### Dense\n", "An affine map"), ("TimeDistributed",)),
    Hover("layers: [{type: MaxPool▮2D}]", ("#### MaxPool2D\n", "Another name of MaxPooling2D."), ("Dense",)),
    Hover("layers:\n  - name: a\n    type: LS▮TM\n    units: 3", ("#### LSTM\n", "Arguments: units"), ("Dense",)),
    Hover(
        "layers: [{type: Dense, un▮its: 1}]",
        ("integer ≥ 1", "The size of the output's last axis. Required."),
        ("Allowed",),
    ),
    Hover("layers: [{type: Dense, units: ▮12}]", ("integer ≥ 1", "The size of the output's last axis."), ("||",)),
    Hover('layers: [{type: Dense, units: "$▮{n}"}]', ("The size of the output's last axis. Required.",), ("||",)),
    Hover(
        "layers: [{type: Dense, units: 1, use_b▮ias: true}]",
        ("true or false", "Whether a bias is added. Default: true."),
    ),
    Hover("layers: [{type: MaxPooling2D, stri▮des: 1}]", ("The step of the window", "Default: null."), ("||",)),
    Hover("layers: [{type: MaxPooling2D, stri▮des: [1, 1]}]", ("The step of the window", "Default: null."), ("||",)),
    Hover(
        "layers: [{type: Conv2D, filters: 1, kernel_size: 3, stri▮des: 1}]",
        ("integer ≥ 1 or list of 2", "Default: [1, 1]."),
        ("||",),
    ),
    Hover(
        "layers: [{type: Conv2D, filters: 1, kernel_size: 3, pad▮ding: same}]",
        ("Default: valid.", "* `same`", "* `valid`"),
    ),
    Hover(
        "layers: [{type: Dense, units: 1, activation: re▮lu}]",
        ("#### relu", "The activation", "* `relu`: "),
        ("* `gelu`",),
    ),
    Hover(
        "layers: [{type: Dense, units: 1, activ▮ation: null}]",
        ("activation or null", "Default: null."),
        ("* `gelu`", "||"),
    ),
    Hover(
        "layers: [{type: Dense, units: 1, kernel_init▮ializer: {type: HeNormal}}]", ("initial values",), ("* `", "||")
    ),
    Hover(
        "layers: [{type: Dense, units: 1, kernel_initializer: {type: He▮Normal}}]",
        ("#### HeNormal", "* `HeNormal`: "),
        ("Zeros",),
    ),
    Hover("layers: [{na▮me: a, type: Dense, units: 1}]", ("A unique name",), ("Dense",)),
    Hover("layers: [{type: Dense, units: 1, in▮puts: x}]", ("One name or a list",), ("||",)),
    Hover("layers: [{type: Dense, units: 1, rep▮eat: 2}]", ("Number of copies in a row",)),
    Hover("inputs: {x: {sha▮pe: [4]}}", ("Dimensions without the batch",), ("||",)),
    Hover("inputs: {x: {shape: [4], dty▮pe: int64}}", ("Type of the values. Default: float32.",)),
    Hover("inputs: {p: {columns: {age: num▮ber}}}", ("#### number", "A number: ", "missing = median"), ("category",)),
    Hover("inputs: {p: {columns: {age: {type: number, miss▮ing: mean}}}}", ("Default: median.",), ("||",)),
    Hover("inputs: {p: {col▮umns: {age: number}}}", ("Columns by name",)),
    Hover(
        "outputs: {y: {loss: ms▮e}}",
        ("#### mse", "A loss; without it", "* `mse`: "),
        ("* `huber`",),
    ),
    Hover("outputs: {y: {met▮rics: [accuracy]}}", ("Metrics of this head.",), ("AUC",)),
    Hover("outputs: {y: {metrics: [accu▮racy]}}", ("#### accuracy", "* `accuracy`: "), ("AUC",)),
    Hover("training: {epo▮chs: 3}", ("integer ≥ 1", "Passes over the training rows. Default: 1.")),
    Hover("training: {optimizer: {type: SG▮D}}", ("#### SGD", "* `SGD`: "), ("Adam",)),
    Hover(
        "training: {optimizer: {type: Adam, lear▮ning_rate: 0.1}}",
        ("number ≥ 0 or schedule", "Default: 0.001."),
        ("||",),
    ),
    Hover("training: {callbacks: [{type: Early▮Stopping}]}", ("#### EarlyStopping",), ("CSVLogger",)),
    Hover("train▮ing: {epochs: 3}", ("How the heads are trained.",)),
    Hover("data: {train: {fi▮le: a.csv}}", ("relative to the spec",), ("||",)),
    Hover("data: {validation: {spl▮it: 0.2}}", ("Fraction of the training rows",), ("||",)),
)

UNKNOWN = "There is no {} of this name; `graphspec validate` suggests one."

MISTAKES = (
    Mistake("layers: [{name: y, type: Flaten}]", (UNKNOWN.format("layer"),)),
    Mistake("layers: [{name: y, type: Dnse, units: 3}]", (UNKNOWN.format("layer"),)),
    Mistake("layers:\n  - name: y\n    type: Flaten\n", (UNKNOWN.format("layer"),)),
    Mistake('layers: [{name: y, type: "${kind}", units: 3}]', ()),
    Mistake("layers: [{name: y, type: Dense}]", ('Missing property "units".',)),
    Mistake("layers: [{name: y, type: Dense, units: 0}]", ("Value is below the minimum of 1.",)),
    Mistake("layers: [{name: y, type: Dense, units: three}]", ("Expected integer ≥ 1.",)),
    Mistake("layers: [{name: y, type: Dense, units: 1, unit: 2}]", ("Property unit is not allowed.",)),
    Mistake("layers: [{name: y, units: 1}]", ('Missing property "type".',)),
    Mistake("layers: [{name: y, type: Dense, units: 1, use_bias: maybe}]", ("Expected true or false.",)),
    Mistake("layers: [{name: y, type: Dense, units: 1, activation: rellu}]", (UNKNOWN.format("activation"),)),
    Mistake(
        "layers: [{name: y, type: Dense, units: 1, activation: {type: relu, slope: 1}}]",
        ("Property slope is not allowed.",),
    ),
    Mistake(
        "layers: [{name: y, type: Conv2D, filters: 1, kernel_size: 1, padding: smae}]",
        ('Value is not accepted. Valid values: "valid", "same".',),
    ),
    Mistake(
        "layers: [{name: y, type: LSTM, units: 1, stateful: true}]",
        ("must be false, since a stateful layer depends on earlier batches, which the exported graph cannot store",),
    ),
    Mistake("layers: [{name: y, type: LSTM, units: 1, stateful: false, unroll: true, dtype: float32}]", ()),
    Mistake("layers: [{name: y, type: Lambda}]", (UNKNOWN.format("layer"),)),
    Mistake("layers: [{name: y, share: x, units: 1}]", ("Property units is not allowed.",)),
    Mistake("outputs: {y: {loss: mes}}", (UNKNOWN.format("loss"),)),
    Mistake("outputs: {y: {los: mse}}", ("Property los is not allowed.",)),
    Mistake("outputs: {y: {metrics: [acuracy]}}", (UNKNOWN.format("metric"),)),
    Mistake("outputs: {y: }", ()),
    Mistake("training: {optimizer: adm}", (UNKNOWN.format("optimizer"),)),
    Mistake("training: {optimizer: {type: Adam, lr: 1}}", ("Property lr is not allowed.",)),
    Mistake("training: {callbacks: [{type: LambdaCallback}]}", (UNKNOWN.format("callback"),)),
    Mistake("training: {epochs: 0}", ("Value is below the minimum of 1.",)),
    Mistake("inputs: {x: {dtype: int64}}", ('Missing property "shape".',)),
    Mistake("inputs: {x: {dtype: string}}", ()),
    Mistake("inputs: {p: {columns: {age: nmuber}}}", (UNKNOWN.format("column type"),)),
    Mistake("inputs: {p: {columns: {age: {type: number, max_tokens: 3}}}}", ("Property max_tokens is not allowed.",)),
    Mistake("inputs: {p: {columns: {age: number}, shape: [1]}}", ("Property shape is not allowed.",)),
    Mistake("data: {train: {fil: a.csv}}", ("Property fil is not allowed.",)),
    Mistake("data: {validation: {split: 1.5}}", ("Value is above the exclusive maximum of 1.",)),
)


def spec_of(text: str) -> str:
    """A whole spec with a part of it: the other sections are added in front, so that the cursor may end the text."""
    start = text.partition(":")[0].strip()
    others = [section for key, section in SECTIONS.items() if key != start]
    return "graphspec: 1\nname: n\n" + "".join(others) + text
