"""What files of other programs are: models of Keras, weights, and what can be done here with them and with ONNX files."""
