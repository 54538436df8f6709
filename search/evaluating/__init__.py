"""Evaluating: attacks one network as hard as can be, wherever it comes from, and says what came out.

- `subjects`: finds the network, its images and its threat model
- `evaluate`: evaluates a subject, and shows how far it is
- `words`: writes the result as a table or as JSON
"""
