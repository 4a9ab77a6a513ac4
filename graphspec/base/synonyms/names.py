"""Names that other frameworks and plain speech have for the classes of a spec, by kind.

A value that is one word is our name. Any other value is the hint itself: it says what to write and why. The names in a
hint are names of the vocabulary (``tests/base/synonyms/test_names.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def fold(name: str) -> str:
    """Return a name without case, separators and the module before it: ``nn.Conv_2d`` becomes ``conv2d``."""
    return re.sub(r"[\W_]+", "", name.strip("'\" ").removesuffix("()").rpartition(".")[2]).lower()


def _each(*names: str, hint: str) -> Mapping[str, str]:
    return dict.fromkeys(names, hint)


_BY_RANK = "use {0}1D for sequences, {0}2D for pictures or {0}3D for volumes"
_BLOCK = (
    "it is no layer: write it as a block of layers under `blocks`, and use it with `block: NAME` "
    "(specs/architectures/{0}.yaml has one)"
)
_TRANSFORMER = _BLOCK.format("transformer_encoder")
_POSITIONS = (
    "PositionEmbedding learns a vector per position: feed it the words' Embedding, and Add the two "
    "(specs/architectures/transformer_encoder.yaml)"
)
_RESIDUAL = "name both nodes as inputs of an Add: `{type: Add, inputs: [before, after]}`"
_ONE_HOT = "did you mean 'CategoryEncoding'? `{type: CategoryEncoding, output_mode: one_hot}` takes integers"
_TABLE = (
    "declare a record: its columns are scaled and encoded without a layer: `inputs: {row: {columns: {age: number}}}`"
)
_LATENT = "write Reshape with the new shape without the batch: `{type: Reshape, target_shape: [4, 1]}`"
_POOL = "use MaxPooling2D or AveragePooling2D for pictures, MaxPooling1D or AveragePooling1D for sequences"
_ADAPTIVE = (
    "use GlobalAveragePooling{0}D if the output has size 1, else `{{type: AdaptiveAveragePooling{0}D, output_size: …}}`"
)
_PRETRAINED = (
    "there are no pretrained networks: write its layers as nodes, and name a file with its weights: "
    "`training: {initial_weights: FILE}` (specs/architectures has networks)"
)
_BIDIRECTIONAL = "write `{{type: Bidirectional, layer: {{type: {0}, units: …}}}}`"

LAYERS: Mapping[str, str] = {
    **_each("linear", "linearlayer", "fullyconnected", "fc", "denselayer", "innerproduct", "perceptron", hint="Dense"),
    **_each("lazylinear", hint="Dense"),
    **_each("bilinear", hint="use Multiply of two Dense, or Dot"),
    **_each("mlp", "feedforward", "ffn", hint="write its Dense layers one below the other, or as a block if repeated"),
    **_each("output", "outputlayer", "head", hint="name the node under `outputs`: `outputs: {y: {loss: …}}`"),
    **_each("conv", "convolution", "convolutional", "cnn", hint=_BY_RANK.format("Conv")),
    **_each("lazyconv1d", hint="Conv1D"),
    **_each("lazyconv2d", hint="Conv2D"),
    **_each("depthwiseconv", hint="use DepthwiseConv1D for sequences or DepthwiseConv2D for pictures"),
    **_each("separableconv", hint="use SeparableConv1D for sequences or SeparableConv2D for pictures"),
    **_each(
        "convtranspose", "transposedconv", "deconv", hint="use Conv1DTranspose, Conv2DTranspose or Conv3DTranspose"
    ),
    **_each("convtranspose1d", "deconv1d", "deconvolution1d", "transposeconv1d", hint="Conv1DTranspose"),
    **_each("convtranspose2d", "deconv2d", "deconvolution2d", "transposeconv2d", hint="Conv2DTranspose"),
    **_each("convtranspose3d", "deconv3d", "deconvolution3d", hint="Conv3DTranspose"),
    **_each("pool", "pooling", "pool2d", hint=_POOL),
    **_each("maxpool", "maxpooling", hint=_BY_RANK.format("MaxPooling")),
    **_each("avgpool", "averagepooling", "averagepool", "meanpooling", hint=_BY_RANK.format("AveragePooling")),
    **_each("globalpool", "globalpooling", "gap", hint=_BY_RANK.format("GlobalAveragePooling")),
    **_each("globalavgpool", "globalaveragepooling", hint=_BY_RANK.format("GlobalAveragePooling")),
    **_each("globalmaxpool", "globalmaxpooling", hint=_BY_RANK.format("GlobalMaxPooling")),
    **{f"adaptiveavgpool{n}d": _ADAPTIVE.format(n) for n in (1, 2, 3)},
    **{f"adaptivemaxpool{n}d": f"AdaptiveMaxPooling{n}D" for n in (1, 2, 3)},
    **_each("zeropad", "zeropadding", "pad", "padding", hint=_BY_RANK.format("ZeroPadding")),
    **{f"{name}{n}d": f"ZeroPadding{n}D" for name in ("zeropad", "constantpad") for n in (1, 2, 3)},
    **_each("crop", "cropping", hint=_BY_RANK.format("Cropping")),
    **_each("upsample", "upsampling", "interpolate", hint=_BY_RANK.format("UpSampling")),
    **_each("upsamplingnearest2d", "upsamplingbilinear2d", hint="UpSampling2D"),
    **_each("resize", hint="Resizing"),
    **_each("batchnorm", "bn", "batchnorm1d", "batchnorm2d", "batchnorm3d", hint="BatchNormalization"),
    **_each("syncbatchnorm", "lazybatchnorm2d", hint="BatchNormalization"),
    **_each("layernorm", "ln", hint="LayerNormalization"),
    **_each("groupnorm", "gn", hint="GroupNormalization"),
    **_each("rmsnorm", hint="RMSNormalization"),
    **_each(
        "instancenorm",
        "instancenorm1d",
        "instancenorm2d",
        "instancenormalization",
        hint=("use GroupNormalization with one group per channel: `{type: GroupNormalization, groups: -1}`"),
    ),
    **_each("l2normalize", "l2norm", "l2normalization", hint="UnitNormalization"),
    **_each("spectralnorm", hint="SpectralNormalization"),
    **_each("weightnorm", "weightnormalization", hint="use SpectralNormalization, or a constraint on the kernel"),
    **_each(
        "normalize",
        "standardize",
        "standardscaler",
        "zscore",
        hint=(
            "use Normalization, which learns mean and deviation from the training rows; columns of a record are scaled "
            "without it"
        ),
    ),
    **_each("minmaxscaler", hint="MinMaxScaling"),
    **_each("scale", "scaling", "rescale", hint="Rescaling"),
    **_each("concat", "cat", "merge", "concatenation", "stack", hint="Concatenate"),
    **_each("sum", "plus", "addition", hint="Add"),
    **_each("mul", "product", "times", hint="Multiply"),
    **_each("sub", "minus", hint="Subtract"),
    **_each("mean", hint="use Average for several inputs, or GlobalAveragePooling1D over time"),
    **_each("min", hint="Minimum"),
    **_each("max", hint="Maximum"),
    **_each("matmul", hint="Dot"),
    **_each("einsum", hint="EinsumDense"),
    **_each("skip", "skipconnection", "shortcut", "residual", "residualconnection", hint=_RESIDUAL),
    **_each("residualblock", "resblock", "bottleneck", "basicblock", hint=_BLOCK.format("resnet50")),
    **_each("inception", "inceptionblock", hint=_BLOCK.format("inception_v3")),
    **_each("denseblock", hint=_BLOCK.format("densenet121")),
    **_each(
        "squeezeexcite",
        "squeezeexcitation",
        "seblock",
        "highway",
        "maxout",
        hint=("it is no layer: write it as a block of layers under `blocks`, and use it with `block: NAME`"),
    ),
    **_each("embed", "embeddingbag", hint="Embedding"),
    **_each(
        "selfattention",
        hint=(
            "use MultiHeadAttention with one node as query and value: "
            "`{type: MultiHeadAttention, num_heads: 2, key_dim: 16, inputs: [x, x]}`"
        ),
    ),
    **_each("mha", "multiheadselfattention", hint="MultiHeadAttention"),
    **_each("transformer", "transformerencoder", "transformerencoderlayer", "transformerblock", hint=_TRANSFORMER),
    **_each("transformerdecoder", "transformerdecoderlayer", "encoderlayer", "decoderlayer", hint=_TRANSFORMER),
    **_each("positionalembedding", "positionalencoding", "positionencoding", hint=_POSITIONS),
    **_each("sinusoidalembedding", "sinusoidalpositionalencoding", "posenc", hint="SinePositionEncoding"),
    **_each("rope", "rotary", "rotarypositionalembedding", hint="RotaryEmbedding"),
    **_each(
        "pixelshuffle", "pixelunshuffle", hint="use DepthToSpace or SpaceToDepth: the channels are in another order"
    ),
    **_each("extractpatches", "patchify", hint="Patches"),
    **_each("clstoken", "cls", hint="ClassToken"),
    **_each("bilstm", "bidirectionallstm", hint=_BIDIRECTIONAL.format("LSTM")),
    **_each("bigru", "bidirectionalgru", hint=_BIDIRECTIONAL.format("GRU")),
    **_each("birnn", hint=_BIDIRECTIONAL.format("SimpleRNN")),
    **_each("elman", "vanillarnn", hint="SimpleRNN"),
    **_each("onehot", "onehotencoding", "onehotencoder", hint=_ONE_HOT),
    **_each(
        "labelencoder", "stringencoder", "ordinalencoder", hint="did you mean 'StringLookup'? it maps texts to ids"
    ),
    **_each("tokenizer", "textvectorizer", "vectorizer", "bagofwords", "tfidf", hint="TextVectorization"),
    **_each("columntransformer", "simpleimputer", hint=_TABLE),
    **_each("imputer", hint="Impute"),
    **_each("bucketize", "binning", "kbinsdiscretizer", hint="Discretization"),
    **_each("unflatten", "view", "squeeze", "unsqueeze", "expanddims", hint=_LATENT),
    **_each("transpose", "swapaxes", hint="Permute"),
    **_each("repeat", "tile", hint="RepeatVector"),
    **_each("slice", "gather", "select", hint="use Cropping1D or Cropping2D to cut an axis"),
    **_each("split", "chunk", hint="use one Dense per part, or Cropping1D to cut an axis"),
    **_each("mask", hint="Masking"),
    **_each("dropout1d", hint="SpatialDropout1D"),
    **_each("dropout2d", hint="SpatialDropout2D"),
    **_each("dropout3d", hint="SpatialDropout3D"),
    **_each("noise", "gaussian", hint="GaussianNoise"),
    **_each("pass", "noop", "passthrough", hint="Identity"),
    **_each("dropconnect", hint="Dropout"),
    **_each("relu6", hint="write `{type: ReLU, max_value: 6}`"),
    **_each("lrelu", hint="LeakyReLU"),
    **_each("module", "modulelist", "network", hint="write its layers as nodes, or as a block if they are repeated"),
    **_each("resnet", "resnet18", "resnet50", "vgg", "vgg16", "bert", "efficientnet", "mobilenet", hint=_PRETRAINED),
    **_each("backbone", "densenet121", "mobilenetv2", "inceptionv3", "unet", hint=_PRETRAINED),
    **_each("convnext", "deeplab", "mixer", "swin", "vit", "visiontransformer", hint=_PRETRAINED),
}

_NODES = "compute it with nodes, and take the loss `value` of the last one"

LOSSES: Mapping[str, str] = {
    **_each("l1", "mad", "absoluteerror", "meanabsolute", hint="mean_absolute_error"),
    **_each("l2", "squarederror", "meansquare", "regression", hint="mean_squared_error"),
    **_each(
        "rmse",
        "rootmeansquarederror",
        hint=("use mean_squared_error: it has the same minimum; `metrics: [root_mean_squared_error]` shows the root"),
    ),
    **_each("smoothl1", hint="huber"),
    **_each(
        "focal", hint=("use binary_focal_crossentropy for one unit, categorical_focal_crossentropy for one-hot classes")
    ),
    **_each("kl", "kldiv", "kullbackleibler", hint="kl_divergence"),
    **_each("jaccard", hint="dice"),
    **_each("poissonnll", hint="poisson"),
    **_each("ctcloss", hint="ctc"),
    **_each("cosineembedding", hint="cosine_similarity"),
    **_each("tripletmargin", hint="triplet"),
    **_each("simclr", "ntxentloss", hint="info_nce"),
    **_each("quantileregression", "multiquantile", "quantiles", hint="quantile"),
    **_each("gaussiannll", hint="there is no such loss: use quantile, or compute it and take the loss `value`"),
    **_each("vicreg", "barlowtwins", "byol", "dino", hint=f"it compares two views: info_nce does so; else {_NODES}"),
    **_each(
        "supcon", "npairs", "proxynca", hint=f"it compares rows of one class: triplet or circle do so; else {_NODES}"
    ),
    **_each("arcface", "cosface", "sphereface", "amsoftmax", hint=f"it is a softmax with a margin: {_NODES}"),
    **_each(
        "lovasz", "lovaszsoftmax", "lovaszhinge", hint=f"it is a surrogate of the overlap: use dice; else {_NODES}"
    ),
    **_each("iou", "giou", "diou", "ciou", "ssim", "lpips", "perceptual", "wing", "cox", "hungarian", hint=_NODES),
    **_each("multilabelsoftmargin", hint="binary_crossentropy"),
    **_each(
        "accuracy",
        "acc",
        "f1",
        "auc",
        hint=("it is a metric: write `metrics: [accuracy]`, and a loss such as sparse_categorical_crossentropy"),
    ),
    **_each("none", hint="leave `loss` out: a head without one is not trained"),
}
"""Losses, without ``loss`` at their end. Cross-entropies depend on the head: ``graphspec/language/sections.py``."""

METRICS: Mapping[str, str] = {
    **_each("r2", "coefficientofdetermination", "explainedvariance", hint="r2_score"),
    **_each("rmse", hint="root_mean_squared_error"),
    **_each("f1", "f1measure", "fscore", "dice", hint="f1_score"),
    **_each("fbeta", hint="f_beta_score"),
    **_each("rocauc", "auroc", "rocaucscore", hint="auc"),
    **_each("prauc", "auprc", "averageprecision", "aucpr", hint="write `{type: AUC, curve: PR}`"),
    **_each(
        "top5",
        "top5accuracy",
        "topk",
        "topkaccuracy",
        "top1accuracy",
        hint=("write `{type: SparseTopKCategoricalAccuracy, k: 5}`; without `Sparse` for one-hot targets"),
    ),
    **_each(
        "balancedaccuracy",
        "kappa",
        "cohenkappa",
        "mcc",
        "matthewscorrcoef",
        hint=("there is no such metric: use f1_score or confusion_matrix"),
    ),
    **_each("specificity", hint="use confusion_matrix, or `{type: SpecificityAtSensitivity, sensitivity: 0.5}`"),
    **_each("sensitivity", "tpr", "truepositiverate", "hitrate", hint="recall"),
    **_each("ppv", hint="precision"),
    **_each("confusion", hint="confusion_matrix"),
    **_each("miou", "jaccard", hint="mean_io_u"),
    **_each("l1", "mad", "medae", hint="mean_absolute_error"),
    **_each("l2", hint="mean_squared_error"),
    **_each("logloss", "nll", "perplexity", hint="crossentropy"),
    **_each("pearsonr", "pearson", "correlation", hint="pearson_correlation"),
    **_each("loss", hint="leave it out: the loss of every head is shown anyway"),
}

ACTIVATIONS: Mapping[str, str] = {
    **_each("none", "nil", "no", "identity", hint="write `null` for no activation, or leave it out"),
    **_each("logistic", "sigm", "expit", hint="sigmoid"),
    **_each("lrelu", hint="leaky_relu"),
    **_each("prelu", hint="its slope is learnt: write the layer PReLU after this one: `{type: PReLU}`"),
    **_each("htanh", hint="hard_tanh"),
    **_each("hardsigm", hint="hard_sigmoid"),
    **_each("geluexact", hint="gelu"),
    **_each("gelunew", "gelutanh", hint="write `{type: gelu, approximate: true}`"),
    **_each("quickgelu", hint="write x · sigmoid(1.702 · x) as layers: `ops.multiply`, `ops.sigmoid`; gelu differs"),
    **_each("swiglu", "geglu", "reglu", hint="use glu, or Multiply two Dense of which one has an activation"),
    **_each("logsoftmaxloss", hint="log_softmax"),
    **_each(
        "sin",
        "sine",
        "snake",
        "step",
        "sign",
        "sgn",
        "heaviside",
        hint=("there is no such activation: tanh and hard_sigmoid are the closest"),
    ),
}

_NO_OPTIMIZER = "there is no such optimizer: AdamW is the closest; Lion, Lamb, Adafactor and Muon are others"

OPTIMIZERS: Mapping[str, str] = {
    **_each("adamoptimizer", hint="Adam"),
    **_each("radam", hint="RAdam is Adam with a warm-up of its own: use Adam, and the schedule LinearWarmup"),
    **_each(
        "adabelief", "adan", "yogi", "adabound", "novograd", "prodigy", "sophia", "shampoo", "soap", hint=_NO_OPTIMIZER
    ),
    **_each(
        "lookahead", "ranger", "sam", hint="it is a shell around another optimizer: use AdamW or ScheduleFreeAdamW"
    ),
    **_each("sgdm", "sgdmomentum", "momentum", hint="write `{type: SGD, momentum: 0.9}`"),
    **_each("nesterov", hint="write `{type: SGD, momentum: 0.9, nesterov: true}`"),
    **_each("gd", "gradientdescent", "gradientdescentoptimizer", "asgd", hint="SGD"),
    **_each("rms", hint="RMSprop"),
    **_each("lbfgs", "bfgs", "rprop", hint="it needs the gradient of all rows at once: use Adam"),
    **_each("lars", hint="Lamb"),
    **_each("none", hint="leave `optimizer` out for rmsprop"),
}

INITIALIZERS: Mapping[str, str] = {
    **_each("xavier", "xavieruniform", hint="glorot_uniform"),
    **_each("xaviernormal", hint="glorot_normal"),
    **_each("kaiming", "kaimingnormal", hint="he_normal"),
    **_each("kaiminguniform", hint="he_uniform"),
    **_each("lecun", hint="lecun_normal"),
    **_each("gaussian", "randn", hint="random_normal"),
    **_each("rand", hint="random_uniform"),
    **_each("truncnormal", hint="truncated_normal"),
    **_each("eye", hint="identity"),
}

REGULARIZERS: Mapping[str, str] = {
    **_each("lasso", hint="L1"),
    **_each("ridge", "weightdecay", "l2regularization", hint="L2"),
    **_each("elasticnet", hint="L1L2"),
    **_each("none", hint="leave it out for no penalty"),
}

SCHEDULES: Mapping[str, str] = {
    **_each("steplr", "step", "multisteplr", "constant", hint="PiecewiseConstantDecay"),
    **_each("cosineannealinglr", "cosineannealing", "cosine", hint="CosineDecay"),
    **_each("cosineannealingwarmrestarts", hint="CosineDecayRestarts"),
    **_each("warmup", "warmuplr", "gradualwarmup", hint="LinearWarmup"),
    **_each("onecyclelr", hint="OneCycle"),
    **_each("sequentiallr", "joinschedules", "chainedscheduler", hint="Sequential"),
    **_each("transformer", "noamlr", "inversesquareroot", "inversesqrt", "rsqrt", hint="Noam"),
    **_each("exponentiallr", "exponential", hint="ExponentialDecay"),
    **_each("linearlr", "linear", "polynomiallr", "polynomial", hint="PolynomialDecay"),
    **_each("inversetime", "timedecay", hint="InverseTimeDecay"),
    **_each("reducelronplateau", hint="it is a callback: `callbacks: [{type: ReduceLROnPlateau, monitor: val_loss}]`"),
    **_each("lambdalr", hint="a spec contains no code: use one of the schedules, such as PiecewiseConstantDecay"),
}

CALLBACKS: Mapping[str, str] = {
    **_each("earlystop", hint="EarlyStopping"),
    **_each("checkpoint", "savebest", "modelsaver", hint="ModelCheckpoint"),
    **_each("reducelr", "plateau", hint="ReduceLROnPlateau"),
    **_each(
        "lrscheduler",
        "steplr",
        "cosineannealinglr",
        hint=("write a schedule as the optimizer's `learning_rate`: `{type: CosineDecay, …}`"),
    ),
    **_each("csv", "logger", hint="CSVLogger"),
    **_each("ema", hint="SwapEMAWeights"),
    **_each("wandb", "mlflow", "wandblogger", hint="use TensorBoard or CSVLogger, which write files"),
}

NAMES: Mapping[str, Mapping[str, str]] = {
    "layer": LAYERS,
    "loss": LOSSES,
    "metric": METRICS,
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "schedule": SCHEDULES,
    "callback": CALLBACKS,
}
"""The synonyms by kind; names are folded (:func:`fold`)."""
OTHERWISE: Mapping[str, str] = {"loss": f"there is no such loss: {_NODES}"}
"""The hint by kind for a name that is like no other."""


def synonym(kind: str, name: str) -> str | None:
    """Return a hint for a ``name`` of another framework or of plain speech, or None if it is no synonym."""
    known, folded = NAMES.get(kind, {}), fold(name)
    found = known.get(folded) or known.get(folded.removesuffix(kind) or folded)
    return f"did you mean '{found}'?" if found is not None and found.isidentifier() else found
