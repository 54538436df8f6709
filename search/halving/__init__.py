"""Halving: early stopping of proposals by successive halving over several objectives.

- `rung`: one rung, which ranks the proposals that reach it and says which ones go on
- `region`: tells what the region that the search is about demands of a proposal on its way
- `judge`: the rungs of all proposals, and the decision to stop one
- `scheduler`: the Ray Tune scheduler that carries out these decisions
"""
