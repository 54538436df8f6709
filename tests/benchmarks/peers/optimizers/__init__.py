"""The optimizers that are compared, each behind one protocol.

- `peer`: the protocol, and what an optimizer is told of a table and of a result
- `registry`: names every optimizer, and the packages whose versions its results depend on
- `temper`: Temper's cost-aware sampler, in the product's simulation or on a table that is none of Temper's
- `optuna_samplers`: Optuna's TPE, GP, NSGA-II and random samplers
- `nehvi`: noisy expected hypervolume improvement on BoTorch's Gaussian process, with compute known
- `smac_parego`: SMAC3 with ParEGO
- `primo`: PriMO of NePS
- `test_optimizers`: tests of all, of those whose packages are there
"""
