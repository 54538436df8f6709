"""Deployment: writes a trained network for use without Temper, and runs its ONNX file.

- `onnx_export`: writes the file
- `decompositions`: computes operators that PyTorch's exporter does not write by ones that it does
- `operator_places`: says in which layer, and in which line of the user's, a network calls an operator
- `batchnorm_folding`: folds batch normalization into a quantized graph, so that runtimes compute in integers
- `onnx_check`: compares the file with the network on several numbers of images
- `torch_export`: writes the network as a program of torch.export
- `onnx_runtime`: runs the file, and compares it with PyTorch
- `latency`: measures how long calls take
"""
