"""ONNX operators by family, each with strict shape inference, a NumPy kernel and a gradient."""

from graphspec.graph.ops.base import OPS, Op, operator

__all__ = ["OPS", "Op", "operator"]

OPS.found_in(
    __name__,
    {
        "activations": """
        Relu LeakyRelu PRelu ThresholdedRelu Shrink Elu Selu Celu Sigmoid HardSigmoid Tanh Softplus Softsign
    """,
        "arg_top_k": "ArgMax ArgMin TopK",
        "attention": "Attention DropoutAttention",
        "augment": "RowUniform Recolor RandomCrop",
        "batch_norm": "BatchNormalization",
        "binary": "Add Sub Mul Div Mod Pow Max Min Sum Mean",
        "by_onnxruntime": "LabelEncoder StringNormalizer Tokenizer MurmurHash3 OnnxFile",
        "conv_pool": "ConvPool",
        "conv_transpose": "ConvTranspose",
        "convolution": "Conv",
        "ctc": "CTCLoss",
        "dropout": """
            Dropout SharedDropout AlphaDropout GaussianDropout GaussianNoise UniformNoise GumbelNoise Sample StraightThrough
        """,
        "einsum": "Einsum",
        "erf": "Erf",
        "gated_activations": "Gelu Swish Mish HardSwish",
        "global_pooling": "GlobalAveragePool GlobalMaxPool",
        "gru": "GRU",
        "indexing": "Gather GatherElements OneHot Range CheckIds",
        "layer_norm": "LayerNormalization RMSNormalization GroupNormalization LpNormalization",
        "linalg": "Gemm MatMul Trilu EyeLike",
        "logic": "Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor IsNaN IsInf Where",
        "loss": "SparseSoftmaxCrossEntropy SoftmaxCrossEntropy SigmoidCrossEntropy SquaredError",
        "loss_reduction": "ReduceLoss PerRow RowShare",
        "lstm": "LSTM",
        "masked_norm": "MaskedBatchNormalization",
        "math": """
        Clip Exp Log Sqrt Reciprocal Sin Cos Neg Abs Floor Ceil Round Sign Not
        Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh
    """,
        "multi_hot": "MultiHot GatherSum",
        "pooling": "MaxPool AveragePool",
        "recurrent_dropout": "DropoutLSTM DropoutGRU DropoutRNN",
        "reduce": """
        ReduceSum ReduceMean ReduceMax ReduceMin ReduceSumSquare ReduceL1 ReduceL2 ReduceProd ReduceLogSum ReduceLogSumExp
        CumSum
    """,
        "resize": "Resize DepthToSpace SpaceToDepth",
        "rnn": "RNN",
        "scatter": "ScatterElements ScatterND GatherND",
        "shape": "Identity StopGradient Reshape Flatten Squeeze Unsqueeze Transpose Expand Shape Size Cast",
        "sharded": "ShardedGemm",
        "slicing": "Concat Split Slice Pad Tile",
        "softmax": "Softmax LogSoftmax Hardmax",
        "spectral": "SpectralScale",
        "warp": "AffineWarp",
        "whole_batch": "BatchSum CircleLoss InfoNCE",
    },
)
