"""Export: writes recipes and models of a run for use elsewhere.

- `selection`: chooses finished trials by rule or by what people call them
- `networks`: rebuilds the networks of finished trials
- `study_folder`: finds the user's modules from another folder than the one where the search began
- `recipes`: writes recipes as YAML, JSON or CSV
- `onnx_models`: writes models as ONNX files
- `output_file`: writes a file that the user named
"""
