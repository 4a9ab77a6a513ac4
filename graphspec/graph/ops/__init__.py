"""ONNX operators by family, each with strict shape inference, a NumPy kernel and a gradient."""

from graphspec.graph.ops.base import OPS, Op, operator

__all__ = ["OPS", "Op", "operator"]

OPS.found_in(
    __name__,
    {
        "arithmetic": """
        Add Sub Mul Div Mod Pow Max Min Sum Mean PRelu Clip
        Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Where
    """,
        "arg_top_k": "ArgMax ArgMin TopK",
        "attention": "Attention DropoutAttention",
        "augment": "RowUniform Recolor RandomCrop",
        "batch_norm": "BatchNormalization",
        "by_onnxruntime": "LabelEncoder StringNormalizer Tokenizer MurmurHash3 OnnxFile",
        "conv_pool": "ConvPool",
        "conv_transpose": "ConvTranspose",
        "convolution": "Conv",
        "ctc": "CTCLoss",
        "dropout": """
            Dropout SharedDropout AlphaDropout GaussianDropout GaussianNoise UniformNoise GumbelNoise Sample StraightThrough
        """,
        "einsum": "Einsum",
        "elementwise": """
        Exp Log Sqrt Reciprocal Erf Neg Abs Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh
        Floor Ceil Round Sign Not IsNaN IsInf
        Relu LeakyRelu ThresholdedRelu Shrink Elu Selu Celu Sigmoid HardSigmoid Tanh Softplus Softsign Mish HardSwish
    """,
        "gelu": "Gelu Swish",
        "global_pooling": "GlobalAveragePool GlobalMaxPool",
        "gru": "GRU",
        "indexing": "Gather GatherElements OneHot Range CheckIds",
        "layer_norm": "LayerNormalization RMSNormalization GroupNormalization LpNormalization",
        "linalg": "Gemm MatMul Trilu EyeLike",
        "loss": "SparseSoftmaxCrossEntropy SoftmaxCrossEntropy SigmoidCrossEntropy SquaredError",
        "loss_reduction": "ReduceLoss PerRow RowShare",
        "lstm": "LSTM",
        "masked_norm": "MaskedBatchNormalization",
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
