"""Networks and weights of other programs: Keras's files, ONNX files, safetensors; importing and inspecting them."""
