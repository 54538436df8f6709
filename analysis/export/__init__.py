"""Export: writes recipes and models of a run for use elsewhere.

- `selection`: chooses finished trials by rule or by what people call them
- `networks`: rebuilds the networks of finished trials
- `recipes`: writes recipes as YAML, JSON or CSV
- `onnx_models`: writes models as ONNX files
"""
