"""Show that a wheel works: a kernel is loaded, bound and gives NumPy's bits."""

import graphspec_kernels
import numpy as np

p, g = np.linspace(-1, 1, 5001, dtype=np.float32), np.linspace(3, -2, 5001, dtype=np.float32)
rate = np.array(0.01, np.float32)
expected = p - g * rate
call = graphspec_kernels.bind("sgd", p, g, None, None, None, rate, None, None)
assert call is not None
call()
assert np.array_equal(p, expected), "the kernel differs from NumPy"
print(f"graphspec-onnx-kernels {graphspec_kernels.__version__}: {', '.join(graphspec_kernels.operands())}")
