"""The codes of all problems that graphspec reports. The tables of docs/diagnostics.md are written from here."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The kind of a problem. A member is equal to its text, such as ``"GS105"``.

    Attributes:
        summary: the problem in a few words.
        explanation: when it is reported.
        remedy: how to solve it.
    """

    summary: str
    explanation: str
    remedy: str

    def __new__(cls, value: str, summary: str = "", explanation: str = "", remedy: str = "") -> Code:
        self = str.__new__(cls, value)
        self._value_ = value
        self.summary, self.explanation, self.remedy = summary, explanation, remedy
        return self

    # GS1: the document.

    UNREADABLE_DOCUMENT = (
        "GS101",
        "Unreadable document",
        "The text is not YAML or JSON, is empty or binary, holds several documents, or has a tag such as `!!python/object`.",
        'Correct the syntax at the place that is shown. A variable inside braces needs quotes: `"${x}"`.',
    )
    UNKNOWN_KEY = (
        "GS102",
        "Unknown key",
        "The document, a section, a layer, the params of a block or the data have a key that does not exist.",
        "Take the name that is suggested, or remove the key.",
    )
    MISSING_KEY = (
        "GS103",
        "Missing key",
        "A mapping lacks a key that it needs.",
        "Add the key.",
    )
    WRONG_TYPE = (
        "GS104",
        "Wrong type",
        "A value has the wrong type: text for a number, `yes` for `true`, a mapping for a list. Types are never converted.",
        "Write the value as the message says.",
    )
    VALUE_NOT_ALLOWED = (
        "GS105",
        "Value not allowed",
        (
            "A value is out of range, is not one of the choices, does not go with another value, or is refused for "
            "the reason that is given."
        ),
        "Choose another value.",
    )
    DUPLICATE_KEY = (
        "GS106",
        "Duplicate key",
        "A mapping has a key twice.",
        "Remove one of them.",
    )
    DUPLICATE_NAME = (
        "GS107",
        "Duplicate name",
        (
            "Two inputs, nodes or heads have the same name. Generated names count too: `<head>_label`, "
            "`<head>_length`, `<head>_input_length`, `<head>_sample_weight`, and the copies of a repeat."
        ),
        "Rename one of them.",
    )
    UNKNOWN_VARIABLE = (
        "GS108",
        "Unknown variable",
        "A variable is not defined where it is used. A block sees its params and the `vars` of the document, nothing else.",
        "Define the variable, or correct its name.",
    )
    UNKNOWN_VERSION = (
        "GS109",
        "Unknown version",
        "The document is written in a version of the language that this graphspec does not know.",
        "Write `graphspec: 1`, or install a newer graphspec.",
    )
    DOCUMENT_TOO_LARGE = (
        "GS110",
        "Document too large",
        "The document is too deep or too large, as it stands or with aliases, variables, blocks and repeats written out.",
        "Make it smaller.",
    )
    UNKNOWN_CLASS = (
        "GS111",
        "Unknown class",
        (
            "There is no layer, block, loss, metric, optimizer, schedule, activation, initializer, regularizer, "
            "constraint or callback of this name."
        ),
        "Take the name that is suggested.",
    )

    # GS2: the graph.

    UNKNOWN_NODE = (
        "GS201",
        "Unknown node",
        "A name in `inputs`, `outputs` or an argument is not the name of a node, or the node has no such output (`node:3`).",
        "Correct the name.",
    )
    CYCLE = (
        "GS202",
        "Cycle",
        "Nodes depend on themselves. There is one diagnostic for each group of such nodes, with a path through them.",
        "Let one of them take another input.",
    )
    WRONG_INPUT_COUNT = (
        "GS203",
        "Wrong number of inputs",
        (
            "A node or a block instance has too few or too many inputs, or is the first node and does not say which "
            "input it takes."
        ),
        "List its `inputs`.",
    )
    UNUSED_NODE = (
        "GS204",
        "Unused node",
        (
            "Warning: a node reaches no head. Of a chain of unused nodes the last one is named; of an unused block, "
            "its instance."
        ),
        "Use the node, or remove it.",
    )
    RECURSIVE_BLOCK = (
        "GS205",
        "Recursive block",
        "A block contains itself, directly or through other blocks.",
        "Use `repeat` for copies in a row.",
    )
    WRONG_SHARE = (
        "GS206",
        "Wrong share",
        (
            "`share` names an input, something that is not a node, or the node itself in a circle; or another key "
            "stands beside it."
        ),
        "Name the node that owns the weights. Only `name` and `inputs` may stand beside `share`.",
    )

    # GS3: shapes.

    WRONG_RANK = (
        "GS301",
        "Wrong number of axes",
        "The data have the wrong number of axes, or an axis does not exist.",
        "Use Reshape, Flatten, Embedding or `return_sequences: true`; the help says which.",
    )
    SHAPES_DIFFER = (
        "GS302",
        "Shapes differ",
        "The shapes of several inputs cannot be merged.",
        "Pad them alike, or make their sizes equal.",
    )
    WINDOW_TOO_LARGE = (
        "GS303",
        "Window too large",
        "A window is larger than its input.",
        "Use `padding: same`, or a smaller window.",
    )
    SIZES_DO_NOT_FIT = (
        "GS304",
        "Sizes do not fit",
        (
            "Sizes do not divide or add up: in a Reshape, in groups, in initial states. Or a Discretization has more "
            "bins than its Embedding has rows."
        ),
        "Choose sizes that fit.",
    )
    SIZE_NOT_FIXED = (
        "GS305",
        "Size not fixed",
        "A size varies where it must be fixed, such as where the shape of a weight depends on it.",
        "Give the size a number, or pool over that axis first.",
    )
    WRONG_DTYPE = (
        "GS306",
        "Wrong dtype",
        "The dtype of a value does not fit: an Embedding needs integers.",
        "Give the input its `dtype`.",
    )
    SHARED_SHAPES_DIFFER = (
        "GS307",
        "Shared weights of another shape",
        "A node that shares weights would need them in another shape.",
        "Give both nodes inputs of the same sizes, or each its own weights.",
    )
    MASK_DROPPED = (
        "GS308",
        "Mask dropped",
        "Warning: a layer that does not support masks gets a masked input. Masked steps count as data from there on.",
        "Move the layer behind the one that consumes the mask.",
    )

    # GS4: heads.

    ACTIVATION_MISMATCH = (
        "GS401",
        "Loss and activation do not match",
        "Warning: the loss expects other values than the activation of the head gives.",
        "Change the activation, or `from_logits`.",
    )
    LOSS_MISMATCH = (
        "GS402",
        "Loss and head do not match",
        "The loss cannot be computed for the shape or the dtype of the head.",
        "Choose another loss, or another number of units.",
    )
    METRIC_MISMATCH = (
        "GS403",
        "Metric and head do not match",
        "The metric cannot be computed for the head or its loss. A warning where it can be computed but says little.",
        "Use `accuracy`, which follows the loss.",
    )
    NOTHING_TO_TRAIN = (
        "GS404",
        "Nothing to train",
        "No head has a loss, or no layer has a weight that is trained. A warning for `validate`, an error for `train`.",
        "Give a head a loss, or the network a weight that is trained.",
    )
    CLASSES_MISMATCH = (
        "GS405",
        "Labels and classes do not match",
        "Labels or class weights do not fit the classes of the head.",
        "Give one label for each class. Class ids count from 0.",
    )

    # GS5: data.

    UNREADABLE_FILE = (
        "GS501",
        "Unreadable file",
        "A data file does not exist, cannot be read, is damaged, or was written to while it was used.",
        "File names are relative to the spec. Write new rows to another file, then rename it.",
    )
    MISSING_ARRAY = (
        "GS502",
        "Missing array",
        "An array or a column is missing, or the file has it twice. Upper and lower case are the same in names of columns.",
        "Map names with `inputs:` and `targets:`.",
    )
    WRONG_ARRAY_SHAPE = (
        "GS503",
        "Wrong shape of an array",
        "An array has another shape than its input or head.",
        "Reshape the array, or change the spec.",
    )
    LOSSY_CONVERSION = (
        "GS504",
        "Conversion would lose something",
        (
            "Values do not convert without loss: text without `labels`, fractions for integers, floats so large that "
            "they may be rounded integers, numbers beyond float32, pickled objects."
        ),
        "Store numbers, and integers as integers.",
    )
    MISSING_VALUE = (
        "GS505",
        "Missing value",
        "A value is NaN, infinite, missing or masked.",
        "Fill it in, or leave the row out.",
    )
    OUT_OF_RANGE = (
        "GS506",
        "Id out of range",
        (
            "A class, a label or an id is out of range. Ids that a layer computes are checked where an Embedding "
            "looks them up; then the message names the Embedding, and no row."
        ),
        "Ids count from 0. CTC keeps class 0 for the blank.",
    )
    WRONG_LENGTH = (
        "GS507",
        "Wrong length",
        "Arrays have different numbers of rows, or a length for CTC is impossible.",
        "Give every array one row for each sample.",
    )
    TOO_FEW_ROWS = (
        "GS508",
        "Too few rows",
        "A file has no rows, or too few to be split.",
        "Write more rows into the file, or leave `split` out.",
    )
    TARGET_TOO_LONG = (
        "GS509",
        "Target too long for its time steps",
        "A CTC target does not fit into its time steps: labels and repeats together are more.",
        "Use fewer labels or more time steps.",
    )

    # GS6: the run.

    NOT_FINITE = (
        "GS601",
        "Not finite",
        "A loss is not finite; the message names head, epoch and step. Or a weight is not finite at the end of an epoch.",
        "Use a smaller learning rate, scaled inputs, or `clipnorm`.",
    )
    NOT_ENOUGH_MEMORY = (
        "GS602",
        "Not enough memory",
        (
            "Training needs more memory than there is. This is estimated before anything is allocated: a warning for "
            "`validate`, an error for `train`. Or a file does not fit into the memory that is free: an error, before "
            "it is read."
        ),
        "Use a smaller `batch_size`, or make the node smaller that is named.",
    )
    DAMAGED_RUN = (
        "GS603",
        "Damaged run",
        "A file of a run is damaged, missing, or belongs to another run: `run.json`, the weights, the checkpoint.",
        "Do what the message says: `--resume` writes the weights again from the checkpoint, `--overwrite` starts again.",
    )
    WORKER_DIED = (
        "GS604",
        "Worker died",
        "One of the processes that train together has ended.",
        "Go on from the last checkpoint with `--resume`. If memory was short, use fewer workers or a smaller `batch_size`.",
    )

    # GS7: export.

    EXPORT_DIFFERS = (
        "GS701",
        "Export differs",
        (
            "The exported graph gives other numbers than the runtime, by more than rounding explains. Or the rows "
            "cannot tell, since every output is infinite, or noise. No file is written."
        ),
        "Report it, with the spec. Where the rows cannot tell, give other ones (`--rows`).",
    )
    UNAVAILABLE_OPERATOR = (
        "GS702",
        "Operator not available",
        "The target of the export does not have an operator that the graph needs.",
        "Export for a newer target.",
    )
