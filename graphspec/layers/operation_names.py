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
    "reduction": _family("""
        sum mean prod max min amax amin var std any all count_nonzero argmax argmin
    """),
}

_COMPLEX = ("there are no complex numbers", "use ops.stft, or STFTSpectrogram and MelSpectrogram")
_SEARCH = ("decoding is a search, which ONNX has no operator for", "decode the outputs in the app")
_SEGMENT = (
    "its result has no batch axis: rows of a batch would be mixed",
    "multiply by ops.one_hot of the segments with ops.matmul",
)
_WARP = ("warping of images is only there for training", "use RandomRotation, RandomTranslation or RandomZoom")

REFUSED_OPERATIONS: dict[str, tuple[str, str]] = {
    f"ops.{name}": why
    for names, why in (
        ("rfft irfft istft polar", _COMPLEX),
        ("ctc_decode", _SEARCH),
        ("segment_sum segment_max", _SEGMENT),
        ("image.affine_transform image.perspective_transform image.elastic_transform image.map_coordinates", _WARP),
        ("image.scale_and_translate", _WARP),
    )
    for name in names.split()
}
