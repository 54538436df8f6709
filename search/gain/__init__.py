"""Gain: tells by how much a recipe is expected to raise the hypervolume, over any number of objectives.

- `axes`: turns each objective into a cost, and tells whether it is known before a recipe runs
- `reference_point`: tells the corner that bounds the hypervolume, as far as it is known while base and reference run
- `learning_curves`: tells what a recipe that still trains will come to, such as the reference
- `undominated`: cuts what no point dominates into boxes, whatever the number of objectives
- `expected_improvement`: computes the expected gain of recipes whose objectives are known or normally distributed
- `pending`: draws what the proposals that run may come to
- `proposals_so_far`: holds what is known of each proposal, which of them run, and which are on the frontier
- `models`: model each objective that is not planned, and each constraint
- `expected_gain`: tells the gains of candidates, beside what was found and what runs
"""
