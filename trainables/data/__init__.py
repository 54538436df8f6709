"""Data: images and labels as arrays, split into train, validation and test.

- `config`: what a study may say of its data, without torch
- `sources`: reading each data set from where it lies
- `splits`: the splits, and the statistics of their pixels
"""
