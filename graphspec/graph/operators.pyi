# ruff: noqa: A002
"""Written by tools/make_operators.py."""

from collections.abc import Sequence
from typing import Any, Literal

from graphspec.ir.graph import Value

class Operators:
    def Abs(self, X: Value | None, /) -> Value: ...
    def Add(self, *operands: Value | None) -> Value: ...
    def AffineWarp(
        self,
        X: Value | None,
        matrix: Value | None,
        /,
        *,
        interpolation: str = ...,
        fill_mode: str = ...,
        fill_value: float = ...,
    ) -> Value: ...
    def AlphaDropout(
        self, X: Value | None, /, *, rate: float, shared: Sequence[int] = ..., seed: int | None = ...
    ) -> Value: ...
    def And(self, A: Value | None, B: Value | None, /) -> Value: ...
    def ArgMax(
        self, X: Value | None, /, *, axis: int = ..., keepdims: int = ..., select_last_index: int = ...
    ) -> Value: ...
    def ArgMin(
        self, X: Value | None, /, *, axis: int = ..., keepdims: int = ..., select_last_index: int = ...
    ) -> Value: ...
    def Attention(
        self,
        Q: Value | None,
        K: Value | None,
        V: Value | None,
        attn_mask: Value | None = None,
        /,
        *,
        is_causal: int = ...,
        kv_num_heads: int | None = ...,
        q_num_heads: int | None = ...,
        scale: float | None = ...,
        softcap: float = ...,
    ) -> Value: ...
    def AveragePool(
        self,
        X: Value | None,
        /,
        *,
        kernel_shape: Sequence[int],
        auto_pad: str = ...,
        ceil_mode: int = ...,
        count_include_pad: int = ...,
        pads: Sequence[int] | None = ...,
        strides: Sequence[int] | None = ...,
    ) -> Value: ...
    def BatchNormalization(
        self,
        X: Value | None,
        scale: Value | None,
        B: Value | None,
        input_mean: Value | None,
        input_var: Value | None,
        /,
        *,
        epsilon: float = ...,
        momentum: float = ...,
        training_mode: int = ...,
    ) -> Any: ...
    def BatchSum(self, X: Value | None, /) -> Value: ...
    def CTCLoss(
        self,
        logits: Value | None,
        labels: Value | None,
        input_length: Value | None = None,
        label_length: Value | None = None,
        /,
    ) -> Value: ...
    def Cast(self, X: Value | None, /, *, to: str) -> Value: ...
    def Ceil(self, X: Value | None, /) -> Value: ...
    def Celu(self, X: Value | None, /, *, alpha: float = ...) -> Value: ...
    def CheckIds(self, ids: Value | None, /, *, size: int, argument: str = ...) -> Value: ...
    def CircleLoss(
        self,
        X: Value | None,
        ids: Value | None,
        /,
        *,
        gamma: float = ...,
        margin: float = ...,
        remove_diagonal: int = ...,
    ) -> Value: ...
    def Clip(self, X: Value | None, minimum: Value | None = None, maximum: Value | None = None, /) -> Value: ...
    def Concat(self, *inputs: Value | None, axis: int) -> Value: ...
    def Conv(
        self,
        X: Value | None,
        W: Value | None,
        B: Value | None = None,
        /,
        *,
        auto_pad: str = ...,
        dilations: Sequence[int] | None = ...,
        group: int = ...,
        kernel_shape: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ...,
        strides: Sequence[int] | None = ...,
    ) -> Value: ...
    def ConvPool(
        self,
        X: Value | None,
        W: Value | None,
        /,
        *,
        window: Sequence[int],
        auto_pad: str = ...,
        dilations: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ...,
        strides: Sequence[int] | None = ...,
    ) -> Value: ...
    def ConvTranspose(
        self,
        X: Value | None,
        W: Value | None,
        B: Value | None = None,
        /,
        *,
        dilations: Sequence[int] | None = ...,
        group: int = ...,
        kernel_shape: Sequence[int] | None = ...,
        output_padding: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ...,
        strides: Sequence[int] | None = ...,
    ) -> Value: ...
    def Cos(self, X: Value | None, /) -> Value: ...
    def CumSum(self, X: Value | None, axis: Value | None, /, *, exclusive: int = ..., reverse: int = ...) -> Value: ...
    def Div(self, *operands: Value | None) -> Value: ...
    def Dropout(
        self,
        data: Value | None,
        ratio: Value | None = None,
        training_mode: Value | None = None,
        /,
        *,
        seed: int | None = ...,
    ) -> Value: ...
    def DropoutAttention(
        self,
        Q: Value | None,
        K: Value | None,
        V: Value | None,
        attn_mask: Value | None = None,
        /,
        *,
        is_causal: int = ...,
        kv_num_heads: int | None = ...,
        q_num_heads: int | None = ...,
        scale: float | None = ...,
        softcap: float = ...,
        ratio: float,
        seed: int | None = ...,
    ) -> Value: ...
    def DropoutGRU(
        self,
        *inputs: Value | None,
        hidden_size: int,
        direction: str = ...,
        activations: Sequence[str] | None = ...,
        activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ...,
        clip: float | None = ...,
        layout: int = ...,
        linear_before_reset: int = ...,
    ) -> tuple[Value, ...]: ...
    def DropoutLSTM(
        self,
        *inputs: Value | None,
        hidden_size: int,
        direction: str = ...,
        activations: Sequence[str] | None = ...,
        activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ...,
        clip: float | None = ...,
        layout: int = ...,
    ) -> tuple[Value, ...]: ...
    def DropoutRNN(
        self,
        *inputs: Value | None,
        hidden_size: int,
        direction: str = ...,
        activations: Sequence[str] | None = ...,
        activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ...,
        clip: float | None = ...,
        layout: int = ...,
    ) -> tuple[Value, ...]: ...
    def Einsum(self, *Inputs: Value | None, equation: str) -> Value: ...
    def Elu(self, X: Value | None, /, *, alpha: float = ...) -> Value: ...
    def Equal(self, A: Value | None, B: Value | None, /) -> Value: ...
    def Erf(self, X: Value | None, /) -> Value: ...
    def Exp(self, X: Value | None, /) -> Value: ...
    def Expand(self, X: Value | None, shape: Value | None, /) -> Value: ...
    def Flatten(self, X: Value | None, /, *, axis: int = ...) -> Value: ...
    def Floor(self, X: Value | None, /) -> Value: ...
    def GRU(
        self,
        X: Value | None,
        W: Value | None,
        R: Value | None,
        B: Value | None = None,
        sequence_lens: Value | None = None,
        *initial: Value | None,
        hidden_size: int,
        direction: str = ...,
        activations: Sequence[str] | None = ...,
        activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ...,
        clip: float | None = ...,
        layout: int = ...,
        linear_before_reset: int = ...,
    ) -> tuple[Value, ...]: ...
    def Gather(self, X: Value | None, indices: Value | None, /, *, axis: int = ...) -> Value: ...
    def GatherElements(self, X: Value | None, indices: Value | None, /, *, axis: int = ...) -> Value: ...
    def GatherSum(self, ids: Value | None, W: Value | None, /, *, count: int = ...) -> Value: ...
    def GaussianDropout(self, X: Value | None, /, *, deviation: float, seed: int | None = ...) -> Value: ...
    def GaussianNoise(self, X: Value | None, /, *, deviation: float, seed: int | None = ...) -> Value: ...
    def Gelu(self, X: Value | None, /, *, approximate: str = ...) -> Value: ...
    def Gemm(
        self,
        A: Value | None,
        B: Value | None,
        C: Value | None = None,
        /,
        *,
        alpha: float = ...,
        beta: float = ...,
        transA: int = ...,
        transB: int = ...,
    ) -> Value: ...
    def GlobalAveragePool(self, X: Value | None, /) -> Value: ...
    def GlobalMaxPool(self, X: Value | None, /) -> Value: ...
    def Greater(self, A: Value | None, B: Value | None, /) -> Value: ...
    def GreaterOrEqual(self, A: Value | None, B: Value | None, /) -> Value: ...
    def GroupNormalization(
        self,
        X: Value | None,
        scale: Value | None,
        bias: Value | None,
        /,
        *,
        num_groups: int,
        epsilon: float = ...,
        stash_type: int = ...,
    ) -> Value: ...
    def GumbelNoise(self, X: Value | None, /, *, seed: int | None = ...) -> Value: ...
    def HardSigmoid(self, X: Value | None, /, *, alpha: float = ..., beta: float = ...) -> Value: ...
    def HardSwish(self, X: Value | None, /) -> Value: ...
    def Identity(self, X: Value | None, /) -> Value: ...
    def InfoNCE(self, A: Value | None, B: Value | None, scale: Value | None, /, *, within: int = ...) -> Value: ...
    def IsNaN(self, X: Value | None, /) -> Value: ...
    def LSTM(
        self,
        X: Value | None,
        W: Value | None,
        R: Value | None,
        B: Value | None = None,
        sequence_lens: Value | None = None,
        *initial: Value | None,
        hidden_size: int,
        direction: str = ...,
        activations: Sequence[str] | None = ...,
        activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ...,
        clip: float | None = ...,
        layout: int = ...,
    ) -> tuple[Value, ...]: ...
    def LabelEncoder(
        self,
        X: Value | None,
        /,
        *,
        keys_strings: Sequence[str] | None = ...,
        keys_int64s: Sequence[int] | None = ...,
        values_int64s: Sequence[int] = ...,
        default_int64: int = ...,
    ) -> Value: ...
    def LayerNormalization(
        self,
        X: Value | None,
        Scale: Value | None,
        B: Value | None = None,
        /,
        *,
        axis: int = ...,
        epsilon: float = ...,
        stash_type: int = ...,
    ) -> Value: ...
    def LeakyRelu(self, X: Value | None, /, *, alpha: float = ...) -> Value: ...
    def Less(self, A: Value | None, B: Value | None, /) -> Value: ...
    def LessOrEqual(self, A: Value | None, B: Value | None, /) -> Value: ...
    def Log(self, X: Value | None, /) -> Value: ...
    def LogSoftmax(self, X: Value | None, /, *, axis: int = ...) -> Value: ...
    def LpNormalization(self, X: Value | None, /, *, axis: int = ..., p: int = ...) -> Value: ...
    def MaskedBatchNormalization(
        self,
        X: Value | None,
        W: Value | None,
        scale: Value | None,
        B: Value | None,
        input_mean: Value | None,
        input_var: Value | None,
        /,
        *,
        epsilon: float = ...,
        momentum: float = ...,
    ) -> Value: ...
    def MatMul(self, A: Value | None, B: Value | None, /) -> Value: ...
    def Max(self, *operands: Value | None) -> Value: ...
    def MaxPool(
        self,
        X: Value | None,
        /,
        *,
        kernel_shape: Sequence[int],
        auto_pad: str = ...,
        ceil_mode: int = ...,
        dilations: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ...,
        strides: Sequence[int] | None = ...,
    ) -> Value: ...
    def Mean(self, *operands: Value | None) -> Value: ...
    def Min(self, *operands: Value | None) -> Value: ...
    def Mish(self, X: Value | None, /) -> Value: ...
    def Mod(self, *operands: Value | None, fmod: int = ...) -> Value: ...
    def Mul(self, *operands: Value | None) -> Value: ...
    def MultiHot(
        self, ids: Value | None, weights: Value | None = None, /, *, depth: int, count: int = ...
    ) -> Value: ...
    def MurmurHash3(self, X: Value | None, /, *, positive: int = ..., seed: int = ...) -> Value: ...
    def Neg(self, X: Value | None, /) -> Value: ...
    def Not(self, X: Value | None, /) -> Value: ...
    def OneHot(
        self, indices: Value | None, depth: Value | None, values: Value | None, /, *, axis: int = ...
    ) -> Value: ...
    def Or(self, A: Value | None, B: Value | None, /) -> Value: ...
    def PRelu(self, X: Value | None, slope: Value | None, /) -> Value: ...
    def Pad(
        self,
        X: Value | None,
        pads: Value | None,
        constant: Value | None = None,
        /,
        *,
        mode: Literal["constant", "reflect", "edge"] = ...,
    ) -> Value: ...
    def PerRow(self, X: Value | None, /) -> Value: ...
    def Pow(self, X: Value | None, Y: Value | None, /) -> Value: ...
    def RMSNormalization(
        self, X: Value | None, scale: Value | None, /, *, axis: int = ..., epsilon: float = ..., stash_type: int = ...
    ) -> Value: ...
    def RNN(
        self,
        X: Value | None,
        W: Value | None,
        R: Value | None,
        B: Value | None = None,
        sequence_lens: Value | None = None,
        *initial: Value | None,
        hidden_size: int,
        direction: str = ...,
        activations: Sequence[str] | None = ...,
        activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ...,
        clip: float | None = ...,
        layout: int = ...,
    ) -> tuple[Value, ...]: ...
    def RandomCrop(
        self, X: Value | None, corner: Value | None, rows: Value | None, columns: Value | None, /
    ) -> Value: ...
    def Range(self, start: Value | None, limit: Value | None, delta: Value | None, /) -> Value: ...
    def Reciprocal(self, X: Value | None, /) -> Value: ...
    def Recolor(
        self,
        X: Value | None,
        scale: Value | None = None,
        shift: Value | None = None,
        /,
        *,
        low: float,
        high: float,
        axes: Sequence[int] = ...,
    ) -> Value: ...
    def ReduceL1(self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...) -> Value: ...
    def ReduceL2(self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...) -> Value: ...
    def ReduceLoss(
        self, values: Value | None, weight: Value | None = None, mask: Value | None = None, /, *, reduction: str = ...
    ) -> Value: ...
    def ReduceMax(self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...) -> Value: ...
    def ReduceMean(self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...) -> Value: ...
    def ReduceMin(self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...) -> Value: ...
    def ReduceProd(self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...) -> Value: ...
    def ReduceSum(
        self, X: Value | None, axes: Value | None = None, /, *, keepdims: int = ..., noop_with_empty_axes: int = ...
    ) -> Value: ...
    def ReduceSumSquare(
        self, X: Value | None, /, *, axes: Sequence[int] | None = ..., keepdims: int = ...
    ) -> Value: ...
    def Relu(self, X: Value | None, /) -> Value: ...
    def Reshape(self, X: Value | None, shape: Value | None, /, *, allowzero: int = ...) -> Value: ...
    def Resize(
        self,
        X: Value | None,
        roi: Value | None = None,
        scales: Value | None = None,
        sizes: Value | None = None,
        /,
        *,
        coordinate_transformation_mode: str = ...,
        mode: str = ...,
        nearest_mode: str = ...,
    ) -> Value: ...
    def Round(self, X: Value | None, /) -> Value: ...
    def RowShare(self, X: Value | None, /) -> Value: ...
    def RowUniform(
        self,
        X: Value | None,
        /,
        *,
        low: Sequence[float],
        high: Sequence[float],
        same: bool = ...,
        seed: int | None = ...,
    ) -> Value: ...
    def Sample(self, mean: Value | None, log_variance: Value | None, /, *, seed: int | None = ...) -> Value: ...
    def ScatterElements(
        self,
        data: Value | None,
        indices: Value | None,
        updates: Value | None,
        /,
        *,
        axis: int = ...,
        reduction: str = ...,
    ) -> Value: ...
    def Selu(self, X: Value | None, /, *, alpha: float = ..., gamma: float = ...) -> Value: ...
    def Shape(self, X: Value | None, /, *, start: int = ..., end: int | None = ...) -> Value: ...
    def ShardedGemm(
        self,
        A: Value | None,
        B: Value | None,
        C: Value | None = None,
        /,
        *,
        input_partition: str,
        output_partition: str,
        shape: tuple[int, ...],
    ) -> Value: ...
    def SharedDropout(
        self, X: Value | None, /, *, rate: float, shared: Sequence[int], seed: int | None = ...
    ) -> Value: ...
    def Shrink(self, X: Value | None, /, *, bias: float = ..., lambd: float = ...) -> Value: ...
    def Sigmoid(self, X: Value | None, /) -> Value: ...
    def SigmoidCrossEntropy(self, logits: Value | None, targets: Value | None, /) -> Value: ...
    def Sign(self, X: Value | None, /) -> Value: ...
    def Sin(self, X: Value | None, /) -> Value: ...
    def Slice(
        self,
        X: Value | None,
        starts: Value | None,
        ends: Value | None,
        axes: Value | None = None,
        steps: Value | None = None,
        /,
    ) -> Value: ...
    def Softmax(self, X: Value | None, /, *, axis: int = ...) -> Value: ...
    def SoftmaxCrossEntropy(self, logits: Value | None, targets: Value | None, /) -> Value: ...
    def Softplus(self, X: Value | None, /) -> Value: ...
    def Softsign(self, X: Value | None, /) -> Value: ...
    def SparseSoftmaxCrossEntropy(self, logits: Value | None, labels: Value | None, /) -> Value: ...
    def SpectralScale(
        self, W: Value | None, u: Value | None, /, *, sizes: Sequence[int], columns: int, iterations: int = ...
    ) -> Value: ...
    def Split(self, X: Value | None, split: Value | None, /, *, axis: int = ...) -> tuple[Value, ...]: ...
    def Sqrt(self, X: Value | None, /) -> Value: ...
    def SquaredError(self, X: Value | None, targets: Value | None, /) -> Value: ...
    def Squeeze(self, X: Value | None, axes: Value | None = None, /) -> Value: ...
    def StopGradient(self, X: Value | None, /) -> Value: ...
    def StraightThrough(self, X: Value | None, S: Value | None, /) -> Value: ...
    def StringNormalizer(
        self,
        X: Value | None,
        /,
        *,
        case_change_action: Literal["LOWER", "UPPER", "NONE"] = ...,
        is_case_sensitive: int = ...,
        locale: str | None = ...,
    ) -> Value: ...
    def Sub(self, *operands: Value | None) -> Value: ...
    def Sum(self, *operands: Value | None) -> Value: ...
    def Swish(self, X: Value | None, /, *, alpha: float = ...) -> Value: ...
    def Tanh(self, X: Value | None, /) -> Value: ...
    def ThresholdedRelu(self, X: Value | None, /, *, alpha: float = ...) -> Value: ...
    def Tile(self, X: Value | None, repeats: Value | None, /) -> Value: ...
    def Tokenizer(
        self,
        X: Value | None,
        /,
        *,
        mark: int,
        mincharnum: int,
        pad_value: str,
        tokenexp: str | None = ...,
        separators: Sequence[str] | None = ...,
    ) -> Value: ...
    def TopK(
        self, X: Value | None, K: Value | None, /, *, axis: int = ..., largest: int = ..., sorted: int = ...
    ) -> tuple[Value, ...]: ...
    def Transpose(self, X: Value | None, /, *, perm: Sequence[int] | None = ...) -> Value: ...
    def UniformNoise(self, X: Value | None, /, *, width: float, seed: int | None = ...) -> Value: ...
    def Unsqueeze(self, X: Value | None, axes: Value | None, /) -> Value: ...
    def Where(self, condition: Value | None, A: Value | None, B: Value | None, /) -> Value: ...
    def Xor(self, A: Value | None, B: Value | None, /) -> Value: ...
