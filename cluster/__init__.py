"""Places trials on the nodes of a Ray cluster, and knows neither Optuna nor the models.

- `connection`: joining a cluster, or submitting a job to it
- `placement`: where a trial may run, and how many there is room for
- `doctor`: examining every node
- `object_cache`: what many trials start from, kept in Ray's object store
- launchers/, grafana/ and a page for each kind of place in README.md
"""
