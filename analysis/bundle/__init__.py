"""Bundle: makes a folder of a model that is used, checked and uploaded without Temper.

- `bundle`: writes the folder
- `card`: writes its README.md, the model card
- `fresh`: loads the folder's files in a process of its own and compares them with the trained network
"""
