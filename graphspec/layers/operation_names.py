"""The names of operations by the file of ``graphspec/operations`` that has them, and those that a spec cannot have."""

from __future__ import annotations


def _family(names: str) -> str:
    return " ".join(f"ops.{name}" for name in names.split())


OPERATIONS = {
    "arithmetic": _family("""
        add subtract multiply divide true_divide divide_no_nan floor_divide mod power maximum minimum
    """),
    "image": _family("image.resize image.rgb_to_grayscale image.pad_images image.crop_images"),
    "math": _family("in_top_k extract_sequences stft"),
    "nn": _family("""
        max_pool average_pool adaptive_max_pool adaptive_average_pool moments layer_normalization rms_normalization
        batch_normalization normalize one_hot multi_hot binary_crossentropy categorical_crossentropy
        sparse_categorical_crossentropy depth_to_space space_to_depth
    """),
    "nn_activations": _family("""
        relu relu6 leaky_relu elu celu selu threshold hard_tanh hard_shrink soft_shrink tanh_shrink sigmoid hard_sigmoid
        sparse_sigmoid log_sigmoid silu swish hard_silu hard_swish gelu softsign softplus sparse_plus squareplus softmax
        log_softmax sparsemax glu
    """),
    "trigonometry": _family("arctan2 isposinf isneginf logaddexp2 tril triu"),
    "comparison": _family("""
        equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor where isclose
    """),
    "elementwise": _family("""
        abs absolute negative sign square sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos
        arctan sinh cosh tanh arcsinh arccosh arctanh erf deg2rad rad2deg ceil floor trunc round isnan isinf isfinite
        logical_not real copy clip nan_to_num zeros_like ones_like full_like cast
    """),
    "products": _family("matmul dot inner vdot outer tensordot einsum cross norm"),
    "reduction": _family("""
        sum mean prod max min amax amin var std any all count_nonzero argmax argmin logsumexp
    """),
    "shapes": _family("""
        reshape ravel expand_dims squeeze transpose swapaxes moveaxis broadcast_to flip fliplr flipud roll tile repeat pad
        concatenate append stack hstack vstack split unstack
    """),
    "sorting": _family("""
        sort argsort median take take_along_axis cumsum diff digitize average top_k logaddexp
    """),
}

_SEGMENT = (
    "its result has no batch axis: rows of a batch would be mixed",
    "multiply by ops.one_hot of the segments with ops.matmul",
)
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
_REASONS: dict[str, tuple[str, str]] = {
    "nonzero": (_UNKNOWN_SIZE, "use `ops.where`, or multiply by a condition"),
    "unique": (_UNKNOWN_SIZE, "use StringLookup or IntegerLookup for categories"),
    "ctc_decode": ("decoding is a search, which ONNX has no operator for", "decode the outputs in the app"),
    "argpartition": ("onnxruntime gives another order", "use `ops.argsort`"),
    "bincount": (
        "its counts are over the batch",
        "use CategoryEncoding with `output_mode: count`: counts of each row",
    ),
    **dict.fromkeys(("histogram",), ("its counts are over the batch", "use Discretization with `output_mode: count`")),
    **dict.fromkeys(
        (
            "angle",
            "imag",
            "rfft",
            "irfft",
            "istft",
            "polar",
            "fft",
            "fft2",
            "ifft2",
            "view_as_complex",
            "view_as_real",
            "eig",
        ),
        _COMPLEX,
    ),
    **dict.fromkeys(
        ("det", "inv", "pinv", "cholesky", "cholesky_inverse", "svd", "qr", "eigh", "lstsq", "lu_factor"),
        _DECOMPOSITION,
    ),
    **dict.fromkeys(("matrix_rank", "solve", "solve_triangular", "slogdet", "logdet"), _DECOMPOSITION),
    **dict.fromkeys(("vectorize", "vectorized_map", "map", "scan", "cond", "while_loop", "fori_loop", "switch"), _CODE),
    **dict.fromkeys(("associative_scan", "custom_gradient"), _CODE),
    **dict.fromkeys(("shape", "size", "ndim", "dtype"), _SHAPE),
    **dict.fromkeys(
        (
            "arange",
            "linspace",
            "logspace",
            "geomspace",
            "eye",
            "identity",
            "tri",
            "full",
            "ones",
            "zeros",
            "array",
            "empty",
        ),
        _MADE,
    ),
    **dict.fromkeys(("segment_sum", "segment_max"), _SEGMENT),
    **dict.fromkeys(
        tuple(
            f"image.{name}"
            for name in (
                "affine_transform",
                "perspective_transform",
                "elastic_transform",
                "map_coordinates",
                "scale_and_translate",
            )
        ),
        _WARP,
    ),
    **dict.fromkeys(("bartlett", "blackman", "hamming", "hanning", "kaiser"), _MADE),
}

REFUSED_OPERATIONS = {f"ops.{name}": reason for name, reason in _REASONS.items()}
