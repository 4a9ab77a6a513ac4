"""Operations of ``keras.ops`` and operators of ONNX as layers. ``layers/keras_names.json`` has their names."""
