"""The names of operations, by file and family, and the names of Keras that a spec cannot have."""

from __future__ import annotations


# The names of operations, by file and family (``file/family`` if their names differ), and those that a spec cannot have.
def _family(names: str) -> str:
    return " ".join(f"ops.{name}" for name in names.split())


OPERATIONS = {
    "elementwise/arithmetic": _family("""
        add subtract multiply divide true_divide divide_no_nan floor_divide mod power maximum minimum
    """),
    "shapes/get_item": "GetItem",
    "nn/image": _family("image.resize image.rgb_to_grayscale image.pad_images image.crop_images image.extract_patches"),
    "nn/convolution": _family("conv depthwise_conv separable_conv conv_transpose dot_product_attention"),
    "along_axes/missing": _family("nansum nanmean nanprod nanvar nanstd nanmax nanmin nancumsum"),
    "elementwise/missing": _family("fmax fmin"),
    "elementwise/more": _family("cbrt fabs hypot erfc heaviside sinc ldexp fmod"),
    "along_axes/more": _family("""
        ptp stop_gradient cdist isin searchsorted trapezoid diagonal trace
        quantile percentile select slice slice_update segment_sum segment_max segment_min
    """),
    "nn/math": _family("in_top_k extract_sequences stft"),
    "nn": _family("""
        max_pool average_pool adaptive_max_pool adaptive_average_pool moments layer_normalization rms_normalization
        batch_normalization normalize one_hot multi_hot binary_crossentropy categorical_crossentropy
        sparse_categorical_crossentropy depth_to_space space_to_depth
    """),
    "elementwise/nn_activations": _family("""
        relu relu6 leaky_relu elu celu selu threshold hard_tanh hard_shrink soft_shrink tanh_shrink sigmoid hard_sigmoid
        sparse_sigmoid log_sigmoid silu swish hard_silu hard_swish gelu softsign softplus sparse_plus squareplus softmax
        log_softmax sparsemax glu
    """),
    "elementwise/trigonometry": _family("arctan2 isposinf isneginf logaddexp2"),
    "shapes/trigonometry": _family("tril triu"),
    "elementwise/comparison": _family("""
        equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor where isclose
    """),
    "elementwise": _family("""
        abs absolute negative sign square sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos
        arctan sinh cosh tanh arcsinh arccosh arctanh erf deg2rad rad2deg ceil floor trunc round isnan isinf isfinite
        logical_not real copy clip nan_to_num zeros_like ones_like full_like cast
    """),
    "along_axes/products": _family("matmul dot inner vdot outer tensordot einsum cross norm"),
    "along_axes/reduction": _family("""
        sum mean prod max min amax amin var std any all count_nonzero argmax argmin logsumexp
    """),
    "shapes": _family("""
        reshape ravel expand_dims squeeze transpose swapaxes moveaxis broadcast_to flip fliplr flipud roll tile repeat pad
        concatenate append stack hstack vstack split unstack
    """),
    "along_axes/sorting": _family("""
        sort argsort median take take_along_axis cumsum diff digitize average top_k
    """),
    "elementwise/sorting": _family("logaddexp"),
}

_WARP = ("warping of images is only there for training", "use RandomRotation, RandomTranslation or RandomZoom")
_UNKNOWN_SIZE = "its output has a size that depends on values"
_COMPLEX = ("there are no complex numbers", "use ops.stft, or keep real and imaginary parts as two values")
_DECOMPOSITION = ("ONNX has no operator for it", "compute it beforehand, and feed it as an input")
_CODE = ("a spec contains no code", "write the function as nodes, or as a block")
_SHAPE = ("a size is no value of a network", "write the number, or -1 in `ops.reshape`")
_MADE = (
    "it makes a value from numbers alone",
    "write the numbers: `{type: Constant, value: …}`, or `inputs: [x, 1.0]`",
)
_BITS = (
    "ONNX's operators for bits are newer than the files that are written",
    "use `ops.logical_and` and others, or `ops.mod`",
)
_VALUES = ("values of a network are tensors already", "leave the node out")
_PLACES = ("its indices are places in the whole batch", "use `ops.slice_update`, `ops.where` or `onnx.ScatterElements`")
_QUALITY = ("it compares images of the whole batch", "use a loss or a metric of the head")
_NO_OPERATOR = ("ONNX has no operator for it", "compute it beforehand, and feed it as an input")
_PARTS = ("it is another spelling", "use `ops.split` with `axis`")
_SAME = ("it is another spelling", "leave the node out: values are real")
_REFUSED: tuple[tuple[str, tuple[str, str]], ...] = (
    ("nonzero", (_UNKNOWN_SIZE, "use `ops.where`, or multiply by a condition")),
    ("unique", (_UNKNOWN_SIZE, "use StringLookup or IntegerLookup for categories")),
    ("ctc_decode", ("decoding is a search, which ONNX has no operator for", "decode the outputs in the app")),
    ("ctc_loss", ("it is a loss of a head", "write `loss: ctc` in `outputs`")),
    ("argpartition", ("onnxruntime gives another order", "use `ops.argsort`")),
    (
        "bincount",
        ("its counts are over the batch", "use CategoryEncoding with `output_mode: count`: counts of each row"),
    ),
    ("histogram", ("its counts are over the batch", "use Discretization with `output_mode: count`")),
    (
        "angle imag rfft irfft istft polar fft fft2 ifft2 view_as_complex view_as_real eig",
        _COMPLEX,
    ),
    ("det inv pinv cholesky cholesky_inverse svd qr eigh lstsq lu_factor", _DECOMPOSITION),
    ("matrix_rank solve solve_triangular slogdet logdet", _DECOMPOSITION),
    ("vectorize vectorized_map map scan cond while_loop fori_loop switch associative_scan custom_gradient jvp", _CODE),
    ("shape size ndim dtype", _SHAPE),
    ("arange linspace logspace geomspace eye identity tri full ones zeros array empty", _MADE),
    ("bartlett blackman hamming hanning kaiser vander diagflat diag meshgrid", _MADE),
    (
        "image.affine_transform image.perspective_transform image.elastic_transform image.map_coordinates",
        _WARP,
    ),
    ("image.scale_and_translate", _WARP),
    ("bitwise_and bitwise_or bitwise_xor bitwise_not bitwise_invert bitwise_left_shift bitwise_right_shift", _BITS),
    ("left_shift right_shift", _BITS),
    ("convert_to_numpy convert_to_tensor is_tensor", _VALUES),
    ("conj conjugate isreal", _SAME),
    ("empty_like", ("its values are not defined", "use `ops.zeros_like`")),
    ("scatter scatter_update", _PLACES),
    ("segment_prod", ("it is not available", "use `ops.segment_sum` of logarithms, then `ops.exp`")),
    ("psnr image.ssim", _QUALITY),
    ("corrcoef", ("it compares rows of the batch", "use `ops.matmul` of centred values")),
    ("correlate", ("it is a convolution", "use `ops.conv`, or Conv1D")),
    ("cumprod nancumprod", ("ONNX has no operator for it", "use `ops.exp` of `ops.cumsum` of `ops.log`")),
    ("erfinv i0 gcd lcm nextafter signbit unravel_index", _NO_OPERATOR),
    ("nanargmax nanargmin", ("it is not available", "use `ops.nan_to_num`, then `ops.argmax` or `ops.argmin`")),
    (
        "nanmedian nanpercentile nanquantile",
        ("it is not available", "use `ops.nan_to_num`, then `ops.median` or `ops.quantile`"),
    ),
    ("hsplit vsplit dsplit array_split", _PARTS),
    ("dstack", ("it is another spelling", "use `ops.stack` or `ops.concatenate` with `axis`")),
    ("get_item", ("it is a layer", 'use `{type: GetItem, key: "[:, 0]"}`')),
    ("kron", ("it is not available", "use `ops.einsum`, then `ops.reshape`")),
    ("rearrange", ("it is not available", "use `ops.reshape` and `ops.transpose`")),
    ("rot90", ("it is not available", "use `ops.flip` and `ops.transpose`")),
    ("saturate_cast", ("it is not available", "use `ops.clip`, then `ops.cast`")),
    ("allclose", ("it is one value for the whole batch", "use `ops.isclose`, then `ops.all` with `axis`")),
    ("view", ("it depends on how numbers are stored", "use `ops.cast` or `ops.reshape`")),
    ("fold unfold", ("it is not available", "use `ops.image.extract_patches`, or Conv2DTranspose")),
    ("image.extract_patches_3d", ("it is not available", "use `ops.image.extract_patches` of slices, or Conv3D")),
    (
        "image.gaussian_blur image.sobel_edges",
        ("it is not available", "use `ops.depthwise_conv` with a Constant kernel"),
    ),
    ("image.hsv_to_rgb image.rgb_to_hsv", ("it is not available", "write it with `ops.max`, `ops.where` and others")),
)

REFUSED_OPERATIONS = {f"ops.{name}": reason for names, reason in _REFUSED for name in names.split()}


# Layers of Keras that graphspec does not support: why, and what to use instead.
_INPUT = ("inputs of the graph are not nodes", "declare it under `inputs`: `inputs: {x: {shape: [4]}}`")
_COLOUR = (
    "colour augmentations other than brightness and contrast are not available yet",
    "use RandomBrightness and RandomContrast, or augment the images beforehand",
)
_DISTORTED = (
    "distortions of images are not available yet",
    "use RandomRotation, RandomTranslation and RandomZoom, or augment the images beforehand",
)
_MIXED = (
    "it mixes rows and their targets, but a layer has no access to targets",
    "mix rows beforehand, and feed targets as probabilities: categorical_crossentropy accepts them",
)
_RANDOM_CHOICE = (
    "a random choice from a list of augmentations is not available",
    "add the augmentations as nodes: RandomFlip, RandomRotation, RandomContrast, …",
)
_NESTED = (
    "a model is not a layer: all nodes are one graph",
    "write its layers as nodes, or as a block if it is repeated",
)
_LOCAL = ("separate weights for every position are not available", "use Conv1D or Conv2D, which share them")

REFUSED = {
    "Input": _INPUT,
    "InputLayer": _INPUT,
    "Lambda": (
        "a spec contains no code",
        "write the formula with layers such as Rescaling, Add, Multiply, Activation, Reshape",
    ),
    "Layer": ("it is the base of all layers and does nothing", "use Identity"),
    "Wrapper": (
        "it is the base of layers that wrap another one and does nothing",
        "use TimeDistributed, Bidirectional or SpectralNormalization",
    ),
    "InputSpec": (
        "it declares in code the inputs of a layer",
        "declare inputs under `inputs`: `inputs: {x: {shape: [4]}}`",
    ),
    "Pipeline": ("it is a list of layers", "write them as nodes, or as a block if they are repeated"),
    **dict.fromkeys(("Sequential", "Functional", "Model"), _NESTED),
    "TernaryDense": ("weights of -1, 0 and 1 are not available", "use Dense"),
    "LocallyConnected1D": _LOCAL,
    "LocallyConnected2D": _LOCAL,
    "ThresholdedReLU": (
        "Keras 3 has removed it",
        "use `{type: ReLU, threshold: …}`, which computes the same",
    ),
    "CuDNNLSTM": ("Keras 3 has removed it", "use LSTM"),
    "CuDNNGRU": ("Keras 3 has removed it", "use GRU"),
    "SyncBatchNormalization": ("Keras 3 has removed it", "use BatchNormalization: workers share its statistics"),
    **dict.fromkeys(
        (
            *("RandomHue", "RandomSaturation", "RandomColorJitter", "RandomColorDegeneration", "RandomGrayscale"),
            *("RandomInvert", "RandomPosterization", "RandomSharpness", "Solarization", "AutoContrast", "Equalization"),
            "ContrastLimitedAdaptiveHistogramEqualization",
        ),
        _COLOUR,
    ),
    **dict.fromkeys(("RandomShear", "RandomPerspective", "RandomElasticTransform"), _DISTORTED),
    "RandomGaussianBlur": (
        "blurring of images is not available yet",
        "use GaussianNoise against overfitting, or augment the images beforehand",
    ),
    "RandomErasing": (
        "erasing of image patches is not available yet",
        "use Dropout or SpatialDropout2D, or augment the images beforehand",
    ),
    **dict.fromkeys(("RandomHeight", "RandomWidth"), ("Keras 3 has removed it", "use RandomZoom")),
    "MixUp": _MIXED,
    "CutMix": _MIXED,
    "AugMix": _RANDOM_CHOICE,
    "RandAugment": _RANDOM_CHOICE,
    "MaxNumBoundingBoxes": (
        "a spec has no bounding boxes",
        "pad them beforehand, and feed them as an input of fixed size",
    ),
    "TorchModuleWrapper": ("a spec contains no code", "write the module's layers as nodes"),
    "TFSMLayer": ("a spec contains no code", "write the model's layers as nodes"),
    "JaxLayer": ("a spec contains no code", "write the function as layers"),
    "FlaxLayer": ("a spec contains no code", "write the module's layers as nodes"),
    **{
        cell: (
            "it is a cell, one step of a recurrence, not a layer",
            f"wrap it: `{{type: RNN, cell: {{type: {cell}, …}}}}`",
        )
        for cell in ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
    },
}
REFUSED_CELLS = {
    layer: (f"it is a layer; its cell is {layer}Cell", f"write `type: {layer}Cell`")
    for layer in ("SimpleRNN", "GRU", "LSTM")
}
