"""How good a network is: predictions, metrics with intervals, comparisons, tables, figures."""
