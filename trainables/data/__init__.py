"""Data: provides images and labels as arrays, split into train, validation and test.

- `config`: defines what a study may say of its data, without torch
- `sources`: reads each data set from its files or the user's function
- `splits`: splits a data set, and computes the statistics of its pixels
"""
