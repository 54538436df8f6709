"""Cluster: connects Temper to Ray and places trials on its nodes; it knows neither Optuna nor the models.

- `connection`: starts Ray on this machine, joins a cluster, or submits a search to one as a job
- `placement`: decides which nodes a trial may run on, and how many trials fit at once
- `doctor`: examines every node of a cluster before a search runs on it
- `object_cache`: keeps finished bases and teachers in Ray's object store, so that each node copies them once
- launchers/, grafana/ and README.md: how to start a cluster on each kind of machine, and how to watch it
"""
