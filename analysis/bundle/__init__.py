"""Bundle: makes a folder of a model that is used, checked and uploaded without Temper.

- `bundle`: writes the folder
- `deployed`: writes the network as files, and times them beside the reference's
- `checks`: has the folder's files tried in fresh processes
- `fresh`: is such a process, and knows nothing of Temper
- `rebuilt`: is one that rebuilds the network, for weights that no program can run by
- `card`: writes its README.md, the model card
"""
