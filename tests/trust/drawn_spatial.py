"""Random arguments for layers over space: convolutions, pooling, borders, sizes, images."""

from __future__ import annotations

from typing import Any

from trust.drawn import Args, Dim, Drawing, Tensor, draws


def space_of(name: str) -> int:
    """``2`` for ``Conv2D``, ``Conv2DTranspose``, ``GlobalMaxPooling2D``."""
    return int(next(c for c in name if c.isdigit()))


def split(d: Drawing, t: Tensor, space: int, *, first: bool = True) -> tuple[list[Dim], int, Args] | None:
    """The sizes over space, the channels, and the ``data_format``, for a value that has them."""
    if t.rank != space + 1 or t.dtype == "bool":
        return None
    if first and d.chance(0.15) and isinstance(t.shape[0], int):
        return list(t.shape[1:]), t.shape[0], {"data_format": "channels_first"}
    return None if t.features is None else (list(t.shape[:-1]), t.features, {})


def sizes(d: Drawing, over: list[Dim], most: int) -> Any:
    """A window that fits; one number where a list says nothing more."""
    each = [d.int(1, min(most, s) if isinstance(s, int) else most) for s in over]
    return each[0] if len(set(each)) == 1 else each


def windows(d: Drawing, over: list[Dim], *, most: int = 3, dilation: bool = True, equal: bool = False) -> Args:
    """``kernel_size``, ``strides``, ``padding``, ``dilation_rate`` that go together."""
    kernel = sizes(d, over, most)
    args: Args = {"kernel_size": kernel}
    varies = not all(isinstance(s, int) for s in over)
    if varies or d.chance(0.5):
        args["padding"] = "same"
    if d.chance(0.3):
        stride = d.int(1, 2)
        args["strides"] = stride if equal or d.chance(0.5) else [d.int(1, 2) for _ in over]
    elif dilation and args.get("padding") == "same" and d.chance(0.3):
        args["dilation_rate"] = 2
    return args


@draws("Conv1D", "Conv2D", "Conv3D")
def convolution(d: Drawing, t: Tensor, name: str) -> Args | None:
    space = space_of(name)
    if (parts := split(d, t, space)) is None:
        return None
    over, channels, form = parts
    groups = d.one(*[g for g in range(1, channels + 1) if channels % g == 0])
    args = {"filters": groups * d.int(1, 3), **windows(d, over), **form, **d.some(use_bias=False)}
    if groups > 1:
        args["groups"] = groups
    if space == 1 and not form and d.chance(0.2):
        args["padding"] = "causal"
    args |= d.weights(matrix=False) | d.some(activation=d.activation(None if form else args["filters"], axes=not form))
    return args


@draws("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, space_of(name))) is None:
        return None
    over, _, form = parts
    args = {**windows(d, over, equal=True), **form, **d.some(use_bias=False, depth_multiplier=2)}
    return args | d.weights(matrix=False, kernel="depthwise") | d.some(activation=d.activation(None, axes=False))


@draws("SeparableConv1D", "SeparableConv2D")
def separable(d: Drawing, t: Tensor, name: str) -> Args | None:
    args = depthwise(d, t, name)
    return None if args is None else {**args, "filters": d.int(1, 4)}


@draws("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, space_of(name))) is None or t.size > 300:
        return None
    over, _, form = parts
    args = {"filters": d.int(1, 3), **windows(d, over), **form, **d.some(use_bias=False)}
    if not all(isinstance(s, int) for s in over) and d.chance(0.5):
        args["padding"] = "valid"
    if args.get("strides") == 2 and d.chance(0.3):
        args["output_padding"] = d.int(0, 1)
        if min([args["kernel_size"]] if isinstance(args["kernel_size"], int) else args["kernel_size"]) < 2:
            del args["output_padding"]
    return args | d.weights(matrix=False) | d.some(activation=d.activation(None, axes=False))


@draws("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def conv_lstm(d: Drawing, t: Tensor, name: str) -> Args | None:
    space = space_of(name)
    if t.rank != space + 2 or not t.fixed or not t.is_float or t.size > 400 or not t.masks_steps:
        return None
    over: list[Dim] = list(t.shape[1:-1])
    args = {"filters": d.int(1, 2), **windows(d, over, dilation=False), **d.gates("ConvLSTM", written_out=True)}
    return args | d.some(return_sequences=True, go_backwards=True, return_state=True) | d.weights(matrix=False)


@draws("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def pooling(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, space_of(name))) is None:
        return None
    over, _, form = parts
    args = windows(d, over, dilation=False)
    args["pool_size"] = args.pop("kernel_size")
    return args | form


@draws(*(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def global_pooling(d: Drawing, t: Tensor, name: str) -> Args | None:
    parts = split(d, t, space_of(name))
    return None if parts is None else {**parts[2], **d.some(keepdims=True)}


@draws(*(f"Adaptive{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def adaptive(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, space_of(name))) is None or not t.fixed:
        return None
    return {"output_size": sizes(d, parts[0], 4), **parts[2]}


@draws("UpSampling1D", "UpSampling2D", "UpSampling3D")
def upsampling(d: Drawing, t: Tensor, name: str) -> Args | None:
    space = space_of(name)
    if (parts := split(d, t, space, first=space > 1)) is None or t.size > 300 or not t.is_float:
        return None
    args = {"size": d.int(1, 3), **parts[2]}
    modes = ("nearest", "bilinear", "bicubic") if t.fixed else ("nearest", "bilinear")
    return args | (d.some(interpolation=d.among(modes)) if space == 2 else {})


@draws("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def padding(d: Drawing, t: Tensor, name: str) -> Args | None:
    space = space_of(name)
    if (parts := split(d, t, space, first=space > 1)) is None or t.size > 400:
        return None
    pairs = [[d.int(0, 2), d.int(0, 2)] for _ in range(space)]
    return {"padding": d.one(1, pairs[0] if space == 1 else pairs), **parts[2]}


@draws("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(d: Drawing, t: Tensor, name: str) -> Args | None:
    space = space_of(name)
    if (parts := split(d, t, space, first=space > 1)) is None or not t.fixed:
        return None
    pairs = [[k := d.int(0, int(s) - 1), d.int(0, int(s) - 1 - k)] for s in parts[0]]
    return {"cropping": pairs[0] if space == 1 else pairs, **parts[2]}


@draws("Resizing")
def resizing(d: Drawing, t: Tensor) -> Args | None:
    if (parts := split(d, t, 2)) is None:
        return None
    args = {"height": d.int(1, 8), "width": d.int(1, 8), **parts[2]}
    if t.fixed:
        args["interpolation"] = d.one("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        args |= d.one({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": 0.5})
        args |= d.some(antialias=True)
    return args


@draws("STFTSpectrogram")
def stft_spectrogram(d: Drawing, t: Tensor) -> Args | None:
    """Without angles, which jump where two runtimes round differently."""
    if (parts := split(d, t, 1)) is None:
        return None
    over, _, form = parts
    length = d.int(2, min(5, over[0])) if isinstance(over[0], int) else 4
    if isinstance(over[0], int) and over[0] < length:
        return None
    mode = d.one("log", "magnitude", "psd", "real", "imag", "stft")
    args = {"mode": mode, "frame_length": length, "padding": "same", "periodic": True, **form}
    return args | d.some(fft_length=8, window=d.one("hamming", "blackman", None), scaling="spectrum", expand_dims=True)


@draws("MelSpectrogram")
def mel_spectrogram(d: Drawing, t: Tensor) -> Args | None:
    if t.rank != 1 or not t.is_float or t.features is None or t.features < 4:
        return None
    args = {
        "fft_length": 2 * d.int(2, 3),
        "sequence_stride": d.int(1, 3),
        "sampling_rate": 100,
        "num_mel_bins": d.int(1, 3),
    }
    return args | {"min_power": 0.01} | d.some(window="hamming", power_to_db=False, mag_exp=1.0, top_db=5.0)


@draws("CenterCrop", "RandomCrop")
def crop(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, 2)) is None or not t.fixed or not t.is_float:
        return None
    height, width = (int(s) for s in parts[0])
    return {"height": d.int(1, height), "width": d.int(1, width), **parts[2]}


@draws("RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast", "RandomBrightness")
def augmentation(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, 2, first=name != "RandomBrightness")) is None or not t.is_float:
        return None
    factor = d.one(0.2, [0.1, 0.3])
    how = d.some(fill_mode=d.one("constant", "nearest", "reflect", "wrap"), interpolation="nearest", fill_value=0.3)
    args: dict[str, Args] = {
        "RandomFlip": d.some(mode=d.one("horizontal", "vertical")),
        "RandomRotation": {"factor": factor, **how},
        "RandomTranslation": {"height_factor": factor, "width_factor": 0.2, **how},
        "RandomZoom": {"height_factor": factor, **d.some(width_factor=0.3), **how},
        "RandomContrast": {"factor": factor, "value_range": [0, 1]},
        "RandomBrightness": {"factor": factor, "value_range": [-1, 1]},
    }
    return {**args[name], **parts[2]}


@draws("FlipMean")
def flip_mean(d: Drawing, t: Tensor) -> Args | None:
    if (parts := split(d, t, 2)) is None or not t.is_float:
        return None
    return {"inputs": [t.ref, t.ref], **d.some(mode=d.one("vertical", "horizontal_and_vertical")), **parts[2]}


@draws("MixUp", "CutMix")
def mixed(d: Drawing, t: Tensor, name: str) -> Args | None:
    if (parts := split(d, t, 2)) is None or not t.is_float or not all(isinstance(n, int) for n in t.shape):
        return None
    return {"inputs": [t.ref, t.ref], **(parts[2] if name == "CutMix" else {})}


@draws("Whitening")
def whitening(d: Drawing, t: Tensor) -> Args | None:
    if (parts := split(d, t, 2)) is None or not t.is_float:
        return None
    args = {**parts[2], **d.some(strides=2, activation=d.activation(None, axes=False))}
    if t.fresh and t.fixed and d.chance(0.5):
        return args | {"kernel_size": d.int(1, 3)}
    return args | {"kernel_size": 1, "filters": [[d.number(-1, 1) for _ in range(parts[1])] for _ in range(parts[1])]}
