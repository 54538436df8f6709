"""Export: what people take out of a run.

- `selection`: choosing frontier members by rule
- `recipes`: recipes as YAML, JSON or CSV
- `onnx_models`: models as ONNX files
"""
