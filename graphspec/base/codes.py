"""The codes of all problems that graphspec reports. The tables of docs/diagnostics.md are generated from this file."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The kind of a problem. A member is equal to its text, such as ``"GS105"``.

    Attributes:
        summary: the problem in a few words.
        explanation: when graphspec reports it.
        remedy: how to fix it.
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
        "The text is no YAML or JSON (or empty, binary, several documents, a tag), or an ONNX file is not of graphspec.",
        'Correct the syntax at the position shown. A variable inside braces needs quotes: `"${x}"`.',
    )
    UNKNOWN_KEY = (
        "GS102",
        "Unknown key",
        "The document, a section, a layer, the params of a block or the data have a key that does not exist.",
        "Use the suggested name, or remove the key.",
    )
    MISSING_KEY = ("GS103", "Missing key", "A mapping lacks a required key.", "Add the key.")
    WRONG_TYPE = (
        "GS104",
        "Wrong type",
        "A value has the wrong type: text for a number, `yes` for `true`, a mapping for a list. Types are never converted.",
        "Write the value as the message shows.",
    )
    VALUE_NOT_ALLOWED = (
        "GS105",
        "Value not allowed",
        "A value is out of range, no choice, contradicts another value, or is refused for the reason in the message.",
        "Choose another value.",
    )
    DUPLICATE_KEY = ("GS106", "Duplicate key", "A mapping contains a key twice.", "Remove one of them.")
    DUPLICATE_NAME = (
        "GS107",
        "Duplicate name",
        "Two inputs, nodes or heads have the same name. Generated ones count: `<head>_label`, the copies of a repeat.",
        "Rename one of them.",
    )
    UNKNOWN_VARIABLE = (
        "GS108",
        "Unknown variable",
        "A variable that is used is not defined. A block sees only its own params and the `vars` of the document.",
        "Define the variable, or correct its name.",
    )
    UNKNOWN_VERSION = (
        "GS109",
        "Unknown version",
        "The document uses a version of the language that this graphspec does not know.",
        "Write `graphspec: 1`, or use a newer graphspec.",
    )
    DOCUMENT_TOO_LARGE = (
        "GS110",
        "Document too large",
        "The document is too deep or too large, as written or after aliases, variables, blocks and repeats are expanded.",
        "Make it smaller.",
    )
    UNKNOWN_CLASS = (
        "GS111",
        "Unknown class",
        "No layer, block, loss, metric, optimizer, activation, callback or other class of the vocabulary has this name.",
        "Use the suggested name.",
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
        "Nodes depend on themselves. Each group of such nodes gets one diagnostic, which shows a path through them.",
        "Give one of them another input.",
    )
    WRONG_INPUT_COUNT = (
        "GS203",
        "Wrong number of inputs",
        "Too few or too many inputs, or the first node names none of several. Warning: a node skips a Parameter above it.",
        "List its `inputs`.",
    )
    UNUSED_NODE = (
        "GS204",
        "Unused node",
        "Warning: no head depends on a node. The message names the last one of a chain, or an unused block's instance.",
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
        "`share` names an input or an unknown node, shares form a cycle, or an entry with `share` has other keys.",
        "Name the node that owns the weights. Beside `share`, only `name` and `inputs` are allowed.",
    )

    # GS3: shapes.

    WRONG_RANK = (
        "GS301",
        "Wrong number of axes",
        "The data have the wrong number of axes, or an axis does not exist.",
        "Use Reshape, Flatten, Embedding or `return_sequences: true`, as the hint suggests.",
    )
    SHAPES_DIFFER = (
        "GS302",
        "Shapes differ",
        "The shapes of several inputs cannot be merged.",
        "Give them the same padding, or make their sizes equal.",
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
        "Sizes do not divide or add up: in a Reshape, in groups, in states. Or an Embedding lacks rows for computed ids.",
        "Choose sizes that fit.",
    )
    SIZE_NOT_FIXED = (
        "GS305",
        "Size not fixed",
        "A size varies but must be fixed, for example because the shape of a weight depends on it.",
        "Write a number for the size, or pool over that axis first.",
    )
    WRONG_DTYPE = (
        "GS306",
        "Wrong dtype",
        "The dtype of a value does not fit: an Embedding needs integers.",
        "Set the `dtype` of the input.",
    )
    SHARED_SHAPES_DIFFER = (
        "GS307",
        "Shared weights of another shape",
        "A node that shares weights needs them in another shape.",
        "Give both nodes inputs of the same sizes, or do not share the weights.",
    )
    MASK_DROPPED = (
        "GS308",
        "Mask dropped",
        "Warning: a layer that does not support masks has a masked input. Its output treats masked steps as data.",
        "Move the layer after the one that consumes the mask.",
    )
    NO_TRAINING_KERNEL = (
        "GS309",
        "Not computable in training",
        "What onnxruntime computes, such as a lookup of text, follows weights, or randomness (a warning for an ONNX file).",
        "Feed the layer from inputs, or from layers without weights and random numbers.",
    )

    # GS4: heads.

    ACTIVATION_MISMATCH = (
        "GS401",
        "Loss and activation do not match",
        "The loss expects other values than the head computes: a warning, or an error if nothing can be learned.",
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
        "The metric cannot be computed for the head or its loss. A warning if it can be computed but means little.",
        "Use `accuracy`, which follows the loss.",
    )
    NOTHING_TO_TRAIN = (
        "GS404",
        "Nothing to train",
        "No head has a loss, or no layer has trainable weights. A warning for `validate`, an error for `train`.",
        "Give a head a loss, or the network trainable weights.",
    )
    CLASSES_MISMATCH = (
        "GS405",
        "Labels and classes do not match",
        "Labels or class weights do not fit the classes of the head.",
        "Write one label for each class. Class ids count from 0.",
    )

    # GS5: data.

    UNREADABLE_FILE = (
        "GS501",
        "Unreadable file",
        "A data file does not exist, cannot be read, is damaged, or was changed while graphspec used it.",
        "File names are relative to the spec. Write new rows to another file, then rename it.",
    )
    MISSING_ARRAY = (
        "GS502",
        "Missing array",
        "An array or a column is missing, or the file contains it twice. Case does not count in column names.",
        "Map names with `inputs:` and `targets:`.",
    )
    WRONG_ARRAY_SHAPE = (
        "GS503",
        "Wrong shape of an array",
        "The shape of an array does not fit its input or head.",
        "Reshape the array, or change the spec.",
    )
    LOSSY_CONVERSION = (
        "GS504",
        "Lossy conversion",
        (
            "Values cannot be converted without loss: text without `labels`, fractions for integers, floats large "
            "enough to be rounded integers, numbers beyond float32, pickled objects."
        ),
        "Store numbers, and integers as integers. Declare texts in `columns:` as `category`, `text` or `date`.",
    )
    MISSING_VALUE = (
        "GS505",
        "Missing value",
        "A value is NaN, infinite, missing or masked.",
        "Fill it in, or remove the row.",
    )
    OUT_OF_RANGE = (
        "GS506",
        "Id out of range",
        "A class, a label or an id is out of range. Of ids that a layer computes, the message names the Embedding.",
        "Ids count from 0. CTC keeps class 0 for the blank.",
    )
    WRONG_LENGTH = (
        "GS507",
        "Wrong length",
        "Arrays have different numbers of rows, or a length for CTC is impossible.",
        "Write one row for each sample into every array.",
    )
    TOO_FEW_ROWS = (
        "GS508",
        "Too few rows",
        "A file has no rows, or too few to be split.",
        "Add rows to the file, or remove `split`.",
    )
    TARGET_TOO_LONG = (
        "GS509",
        "Target too long for its time steps",
        "A CTC target needs more time steps than its row has: one for each label, and one between equal labels.",
        "Use fewer labels or more time steps.",
    )
    UNREADABLE_DATE = (
        "GS510",
        "Unreadable date",
        "Warning: a text of a date column is not a date of the column's format. It counts as missing.",
        "Write dates as `2024-12-31`, or set `format`.",
    )
    CLASS_LEFT_OUT = (
        "GS511",
        "Class without training rows",
        "A class occurs in validation or test rows, but in no training row.",
        "Set `stratify` for the split, or add training rows of the class.",
    )
    WRONG_QUERY = (
        "GS512",
        "Query refused",
        "A query is not a single SELECT statement, fails, or does not determine the order of its rows.",
        "Correct the query. `ORDER BY` columns that identify a row determine the order.",
    )
    OUTSIDE_FOLDER = (
        "GS513",
        "File outside the allowed folders",
        "A query reads a file that is neither beside nor below the spec.",
        "Move the file, or allow its folder with `--allow DIR`.",
    )
    WEIGHTS_MISSING = (
        "GS514",
        "Initial weights missing",
        "A file of initial weights lacks weights, or a pattern of `map` or `allow_missing` matches no weight.",
        "Give the names of the file in `map`. `allow_missing` lists the weights that start new.",
    )
    WEIGHT_SHAPE = (
        "GS515",
        "Initial weights of another shape",
        "A file of initial weights has a weight in another shape than the network.",
        "Give the layer the sizes of the file, write `layout: torch`, or start the weight new with `allow_missing`.",
    )
    IRREGULAR_STEPS = (
        "GS516",
        "Steps of a series missing",
        "The times of a series leave out steps, or are off them. A warning if `windows` has no `every`.",
        "Set `every`, and `missing` to fill the steps in; or correct the table.",
    )

    # GS6: the run.

    NOT_FINITE = (
        "GS601",
        "Not finite",
        "A loss is not finite (the message names head, epoch and step), or a weight is not finite at the end of an epoch.",
        "Use a smaller learning rate, scaled inputs, or `clipnorm`.",
    )
    NOT_ENOUGH_MEMORY = (
        "GS602",
        "Not enough memory",
        "Training needs more memory than is free, by an estimate: for `validate` a warning. Or a file does not fit into it.",
        "Use a smaller `batch_size`, or make the named node smaller.",
    )
    DAMAGED_RUN = (
        "GS603",
        "Damaged run",
        "A file of a run is damaged, missing, or belongs to another run: `run.json`, the weights, the checkpoint.",
        "Follow the message: `--resume` restores the weights from the checkpoint, `--overwrite` starts a new run.",
    )
    WORKER_DIED = (
        "GS604",
        "Worker died",
        "One of the worker processes ended during training.",
        "Continue from the last checkpoint with `--resume`. If memory was short, use fewer workers or a smaller batch.",
    )
    PREPARATION_FAILED = (
        "GS605",
        "Preparation failed",
        "The part of the network that turns raw rows into numbers cannot be computed for some row.",
        "Report it with the spec and the row.",
    )
    RANKS_DIFFER = (
        "GS606",
        "Processes differ",
        "Workers or ranks differ in versions, kernels, specs, commands or layers: bits would differ, or one would wait.",
        "Use the same installation, files and command everywhere; let plugins depend on the spec alone.",
    )

    # GS7: export.

    EXPORT_DIFFERS = (
        "GS701",
        "Export differs",
        "Exported file and runtime differ by more than rounding, or the rows prove nothing. No file is written.",
        "Report it with the spec. If the rows prove nothing, pass other rows (`--rows`).",
    )
    UNAVAILABLE_OPERATOR = (
        "GS702",
        "Operator not available",
        "The target of the export does not have an operator that the graph needs.",
        "Export for a newer target.",
    )
    UNREADABLE_MODEL = (
        "GS703",
        "Unreadable ONNX file",
        (
            "`inspect` or `diff` is given a file that is not an ONNX model, is truncated, or contradicts itself: a cycle, a "
            "value that nothing computes, a weight with fewer bytes than its shape needs, weights outside its folder."
        ),
        "Export or download the file again. The message names what is wrong.",
    )
    QUANTIZATION_LOSS = (
        "GS704",
        "Quantization loses too much",
        "The quantized network is worse on held-out rows than `--max-loss` allows, overflows, or has no large weights.",
        "Try `--quantize float16`, or allow more with `--max-loss`. No file is written.",
    )

    # GS8: files of other programs.

    INVALID_FILE = (
        "GS801",
        "Invalid file of another program",
        "A file that another program wrote is damaged, contradicts itself, or is no file of the kind that it should be.",
        "Save or download it again. The message names the place in the file.",
    )
    UNSUPPORTED_FILE = (
        "GS802",
        "Unsupported part of a file",
        "A sound file of another program has a part that graphspec cannot express or compute, such as Python code.",
        "Follow the message: it names the place in the file, and what to write instead.",
    )
