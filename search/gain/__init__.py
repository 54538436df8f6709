"""Gain: tells by how much a recipe is expected to raise the hypervolume, over any number of objectives.

- `axes`: turns each objective into a cost, and tells whether it is known before a recipe runs
- `reference_point`: tells the corner that bounds the hypervolume, as far as it is known while base and reference run
- `learning_curves`: tells what a recipe that still trains will come to, such as the reference
- `undominated`: cuts what no point dominates into boxes, whatever the number of objectives
- `expected_improvement`: computes the expected gain of recipes whose objectives are known or normally distributed
- `pending`: draws what the proposals that run may come to
- `known_proposal`: holds what is known of one proposal, and what a model learns from it
- `expected_gain`: keeps the models and the frontier of a search, and tells the gains of candidates
"""
