"""Networks whose every validation image was attacked by AutoAttack's standard ensemble, to measure attacks against.

- `models`: defines two small architectures of the benchmark's own
- `networks`: names the networks with their recipes, trains them, and loads them as they were attacked
- `answers`: reads and writes what the ensemble answered, an image at a time
- `record`: runs the ensemble on each network, in an environment of its own, and goes on where it was stopped
- `scoring`: measures how near the search's scoring attack comes to the ensemble, and whether it ranks alike
"""
