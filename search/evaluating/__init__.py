"""Evaluating: attacks one network as hard as can be, wherever it comes from, and says what came out.

- `subjects`: finds the network, its images and its threat model
- `given`: makes networks and data that no run has made out of what options say of them
- `evaluate`: evaluates a subject, and shows how far it is
- `words`: writes the result as a table or as JSON
"""
