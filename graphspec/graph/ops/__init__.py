"""ONNX operators by family, each with strict shape inference, a NumPy kernel and a gradient."""

from graphspec.graph.ops.op import OPS, Op, operator

__all__ = ["OPS", "Op", "operator"]

OPS.found_in(
    __name__,
    {
        "arithmetic": """
            Add Sub Mul Div Mod Pow Max Min Sum Mean MeanAtInference PRelu Clip Equal Greater GreaterOrEqual Less LessOrEqual
            And Or Xor Where
        """,
        "attention": "Attention DropoutAttention Softmax LogSoftmax Hardmax",
        "by_onnxruntime": "LabelEncoder StringNormalizer Tokenizer MurmurHash3 TermWeights OnnxFile",
        "convolution": "Conv ConvTranspose ConvPool",
        "ctc": "CTCLoss",
        "crf": "Viterbi CRFLoss",
        "dropout": """
            Dropout SharedDropout AlphaDropout GaussianDropout GaussianNoise UniformNoise GumbelNoise Sample
            StraightThrough
        """,
        "elementwise": """
            Exp Log Sqrt Reciprocal Erf Neg Abs Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Floor Ceil Round
            Sign Not IsNaN IsInf Relu LeakyRelu ThresholdedRelu Shrink Elu Selu Celu Sigmoid HardSigmoid Tanh Softplus
            Softsign Mish HardSwish Gelu Swish
        """,
        "images": "Resize DepthToSpace SpaceToDepth RowUniform MixRows Recolor RandomCrop AffineWarp",
        "indexing": """
            Gather GatherElements OneHot Range CheckIds ScatterElements ScatterND GatherND MultiHot GatherSum
        """,
        "linalg": "Gemm MatMul Trilu EyeLike Einsum ShardedGemm",
        "loss": """
            SparseSoftmaxCrossEntropy SoftmaxCrossEntropy SigmoidCrossEntropy SquaredError ReduceLoss PerRow RowShare
        """,
        "normalization": """
            BatchNormalization MaskedBatchNormalization LayerNormalization RMSNormalization GroupNormalization
            LpNormalization SpectralScale RunningMean
        """,
        "pooling": "MaxPool AveragePool GlobalAveragePool GlobalMaxPool",
        "recurrent": "LSTMGates RNN LSTM GRU DropoutLSTM DropoutGRU DropoutRNN",
        "reduce": """
            ReduceSum ReduceMean ReduceMax ReduceMin ReduceSumSquare ReduceL1 ReduceL2 ReduceProd ReduceLogSum
            ReduceLogSumExp CumSum ArgMax ArgMin TopK
        """,
        "scan": "Scan",
        "shape": """
            Identity StopGradient Reshape Flatten Squeeze Unsqueeze Transpose Expand Shape Size Cast Concat Split Slice
            Pad Tile
        """,
        "whole_batch": "BatchSum AllRows RowNumbers",
    },
)
