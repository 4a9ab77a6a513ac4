"""ONNX operators, by family: strict shape inference, a NumPy kernel and a gradient each."""

from graphspec.ops.base import OPS, Op

__all__ = ["OPS", "Op"]

OPS.found_in(
    __name__,
    {
        "attention": "Attention",
        "augment": "RowUniform Recolor RandomCrop",
        "batch": "BatchSum CircleLoss",
        "binary": "Add Sub Mul Div Mod Pow Max Min Sum Mean",
        "check_ids": "CheckIds",
        "conv_pool": "ConvPool",
        "conv_transpose": "ConvTranspose",
        "convolution": "Conv",
        "ctc": "CTCLoss",
        "divided": "DividedGemm",
        "dropout": "Dropout SharedDropout AlphaDropout GaussianDropout GaussianNoise",
        "einsum": "Einsum",
        "elementwise": """
        Relu LeakyRelu PRelu ThresholdedRelu Shrink Elu Selu Celu Sigmoid HardSigmoid Tanh Softplus Softsign
        Clip
    """,
        "erf": "Erf",
        "functions": "Exp Log Sqrt Reciprocal Sin Cos Neg Abs Floor Ceil Round Sign Not",
        "gated": "Gelu Swish Mish HardSwish",
        "global_pooling": "GlobalAveragePool GlobalMaxPool",
        "gru": "GRU",
        "indexing": "Gather GatherElements OneHot Range",
        "linalg": "Gemm MatMul",
        "logic": "Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Where",
        "loss": """
        SparseSoftmaxCrossEntropy SoftmaxCrossEntropy SigmoidCrossEntropy SquaredError ReduceLoss PerRow
        RowShare
    """,
        "lp_norm": "LpNormalization",
        "lstm": "LSTM",
        "masked_norm": "MaskedBatchNormalization",
        "multi_hot": "MultiHot GatherSum",
        "norm": "BatchNormalization",
        "order": "ArgMax ArgMin TopK",
        "pooling": "MaxPool AveragePool",
        "recurrent_dropout": "DropoutLSTM DropoutGRU DropoutRNN",
        "reduce": "ReduceSum ReduceMean ReduceMax ReduceMin ReduceSumSquare ReduceL1 ReduceL2 ReduceProd CumSum",
        "resize": "Resize",
        "rnn": "RNN",
        "row_norm": "LayerNormalization RMSNormalization GroupNormalization",
        "scatter": "ScatterElements",
        "shape": "Identity Reshape Flatten Squeeze Unsqueeze Transpose Expand Shape Cast",
        "slicing": "Concat Split Slice Pad Tile",
        "softmax": "Softmax LogSoftmax",
        "spectral": "SpectralScale",
        "warp": "AffineWarp",
    },
)
