"""Export: writes recipes and models of a run for use elsewhere.

- `selection`: chooses members of the frontier by rule
- `recipes`: writes recipes as YAML, JSON or CSV
- `onnx_models`: writes models as ONNX files
"""
