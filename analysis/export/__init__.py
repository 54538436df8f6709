"""Export: writes recipes and models of a run for use elsewhere.

- `selection`: chooses members of the frontier by rule
- `networks`: finds a finished trial by what people call it, and rebuilds its network
- `recipes`: writes recipes as YAML, JSON or CSV
- `onnx_models`: writes models as ONNX files
"""
