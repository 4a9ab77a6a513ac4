"""Arguments of classes, as other frameworks and plain speech have them."""

from __future__ import annotations

from collections.abc import Mapping

from graphspec.base.synonyms.tables import PRETRAINED, each, table

_INFERRED = "leave it out: it is inferred from the input"
_DECAY = "write a schedule as the rate: `learning_rate: {type: CosineDecay, …}`"
_OWN_NODE = "write it as a node of its own after this one: `{type: %s}`"

_SIZES = "units filters output_dim"
LAYER = table(
    {
        **each(
            "input_shape",
            "batch_input_shape",
            "batch_shape",
            to=("leave it out: it is inferred; `inputs: {x: {shape: [4]}}` declares the input of the network"),
        ),
        **each(
            "input_dim", "in_features", "in_channels", "input_size", "num_features", "normalized_shape", to=_INFERRED
        ),
        **each("num_channels", "in_dim", "n_in", "fan_in", "input_length", "kdim", "vdim", to=_INFERRED),
        **each("embed_dim", "d_model", "model_dim", to=f"output_dim key_dim {_SIZES}"),
        "build_config": "leave it out: shapes are inferred from `inputs`",
        **each("out_features", "out_channels", "output_size", "out_dim", "n_out", "output_dim", to=_SIZES),
        **each("hidden_size", "hidden_units", "hidden_dim", "num_units", "n_units", "neurons", "nodes", to=_SIZES),
        **each("units", "filters", "channels", "width", "dim", "size", to=f"{_SIZES} axis pool_size kernel_size"),
        **each("num_filters", "n_filters", "nb_filter", "depth", to="filters"),
        **each(
            "kernel", "window", "filter_size", "ksize", "k", "kernel_shape", "kernel_size", to="kernel_size pool_size"
        ),
        **each("pool", "pool_length", to="pool_size"),
        **each("stride", "step", "subsample", to="strides"),
        **each("pad", "border_mode", to="padding"),
        **each("padding_mode", to="leave it out: padding is with zeros"),
        **each("dilation", "dilations", "atrous_rate", to="dilation_rate"),
        **each("group", "num_groups", "n_groups", to="groups"),
        **each("bias", "has_bias", "with_bias", "add_bias", to="use_bias"),
        **each("eps", "variance_epsilon", to="epsilon"),
        **each("act", "nonlinearity", "activation_fn", "activation_function", "non_linearity", to="activation"),
        **each("recurrent_nonlinearity", to="recurrent_activation"),
        **each(
            "init",
            "initializer",
            "weight_init",
            "kernel_init",
            "weight_initializer",
            to=("kernel_initializer embeddings_initializer"),
        ),
        **each("bias_init", to="bias_initializer"),
        **each("W_regularizer", "weight_regularizer", "regularizer", to="kernel_regularizer embeddings_regularizer"),
        **each("W_constraint", "weight_constraint", to="kernel_constraint"),
        **each("l1", "l2", "weight_decay", to="write `kernel_regularizer: {type: L2, l2: 0.01}`"),
        **each("dropout_rate", "drop_rate", "drop_prob", "attn_dropout", "p", "prob", to="dropout rate"),
        **each("dropout", to=_OWN_NODE % "Dropout, rate: 0.5"),
        **each("batch_norm", "batchnorm", "use_bn", "norm", to=_OWN_NODE % "BatchNormalization"),
        **each("num_layers", "n_layers", "stacked", to="write one node per layer, or `repeat: 2` on this one"),
        **each("bidirectional", to="write `{type: Bidirectional, layer: {type: LSTM, units: 64}}`"),
        **each("batch_first", to="leave it out: the batch is always the first axis"),
        **each("heads", "n_heads", "nhead", "num_attention_heads", to="num_heads"),
        **each("head_dim", "head_size", "dim_head", to="key_dim head_dim"),
        **each("return_sequence", "return_seq", "seq", to="return_sequences"),
        **each("dims", "along", to="axis dims"),
        **each("order", "permutation", to="dims"),
        **each("shape", "new_shape", "output_shape", to="target_shape"),
        **each("num_embeddings", "vocab_size", "vocabulary_size", "num_tokens", to="input_dim num_tokens max_tokens"),
        **each("embedding_dim", "embedding_size", to="output_dim"),
        **each("max_features", "max_vocab", to="max_tokens"),
        **each("max_length", "maxlen", "sequence_length", to="output_sequence_length"),
        **each("padding_idx", to="write `mask_zero: true`: id 0 then does not count"),
        **each("scale_factor", "factor", "scale", to="size scale"),
        **each("mode", to="interpolation"),
        **each(
            "align_corners", "antialias", "ceil_mode", "count_include_pad", to="leave it out: there is one way only"
        ),
        **each("std", "sigma", "stdev", to="stddev"),
        **each("slope", "alpha", to="negative_slope alpha"),
        **each("negative_slope", to="alpha"),
        **each("affine", "elementwise_affine", to="write `center: false` and `scale: false` for no weights"),
        **each("track_running_stats", to="leave it out: moving statistics are always kept"),
        **each("start_dim", "end_dim", to="leave it out: all axes after the batch become one; use Reshape for others"),
        **each("inplace", "device", "sparse", "max_norm", to="leave it out: it is a detail of another framework"),
        **each("weights", "weight", "pretrained", to=PRETRAINED),
        **each("frozen", "freeze", "requires_grad", to="write `trainable: false` to freeze a node"),
        **each(
            "input",
            "from",
            "inbound_nodes",
            "source",
            "after",
            "parents",
            to="name the nodes that it reads: `inputs: x`",
        ),
        **each("outputs", "output", "to", "next", to="leave it out: the nodes after it name it in their `inputs`"),
        **each("params", "arguments", "args", "config", "kwargs", to="write arguments of a layer beside its `type`"),
        **each("times", "copies", "n", to="write `repeat: 2` for copies in a row"),
    }
)

SPECIAL: Mapping[str, Mapping[str, str]] = {
    "BatchNormalization": {
        "alpha": "did you mean 'momentum'? it is 1 - alpha",
        "decay": "momentum",
    },
    "Resizing": each("size", "output_size", "target_size", to="write `height: 32` and `width: 32`"),
    "MultiHeadAttention": each(
        "embed_dim",
        "d_model",
        "hidden_size",
        to=("did you mean 'key_dim'? it is the size of one head: the model's size divided by `num_heads`"),
    ),
    "Optimizer": {
        **each("lr", "rate", "eta", "alpha", "step_size", to="learning_rate"),
        **each("betas", to="they are `beta_1` and `beta_2` of Adam: `{type: Adam, beta_1: 0.9, beta_2: 0.999}`"),
        **each("beta", "beta1", to="beta_1"),
        **each("beta2", to="beta_2"),
        **each("eps", "fuzz", to="epsilon"),
        **each("weight_decay_rate", "wd", "l2", to="weight_decay"),
        **each(
            "momentum",
            "nesterov",
            to=("it is an argument of SGD: `{type: SGD, momentum: 0.9}`; Adam's momentum is `beta_1`"),
        ),
        **each("beta_1", "beta_2", "amsgrad", to="it is an argument of Adam"),
        **each("dampening", "maximize", "foreach", "fused", "capturable", to="leave it out: it is PyTorch's"),
        **each("clip_norm", "max_grad_norm", to="clipnorm"),
        **each("grad_clip", "gradient_clip", "clip", "clip_grad", to="did you mean 'clipnorm'? or `clipvalue`"),
        **each("schedule", "scheduler", "lr_scheduler", "decay_rate", "lr_decay", to=_DECAY),
        **each("params", "parameters", "lr_mult", to="leave it out: it trains all weights that are not frozen"),
    },
    "RMSprop": each("alpha", "beta", to="rho"),
    "ReduceLROnPlateau": each("threshold", "eps", to="min_delta"),
    "ModelCheckpoint": each("path", "file", "filename", "dirpath", to="filepath"),
    "Callback": {
        **each("metric", "quantity", to="monitor"),
        **each("delta", "threshold", "tolerance", to="min_delta"),
        **each("restore_best", to="restore_best_weights"),
        **each("save_best", to="save_best_only"),
        **each("path", "file", to="filename filepath log_dir"),
    },
    "Loss": {
        **each("smoothing", "epsilon", to="label_smoothing"),
        **each("logits", "with_logits", to="from_logits"),
        **each("weight", "weights", "loss_weight", to="write it at the head: `{loss: …, weight: 0.5}`"),
        **each("class_weight", "pos_weight", to="write it at the head: `{loss: …, class_weight: balanced}`"),
        **each("ignore_index", to="ignore_class"),
        **each("beta", to="delta"),
    },
    "Metric": {
        **each("top_k", "n", to="k"),
        **each("num_labels", "n_classes", to="num_classes"),
        **each("task", to="leave it out: it follows from the head"),
    },
}
