"""Operations of ``keras.ops`` and operators of ONNX as layers. ``layers/operation_names.py`` has their names."""
