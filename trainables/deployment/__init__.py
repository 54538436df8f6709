"""Deployment: a trained network as an ONNX file, and that file run.

- `onnx_export`: writing the file
- `batchnorm_folding`: finishing a quantized graph
- `onnx_runtime`: running it: agreement with PyTorch, and latency
"""
