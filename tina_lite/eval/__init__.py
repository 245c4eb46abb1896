"""How good a policy is: sampled Pass@1 while it trains, and whole benchmarks afterwards.

evaluator.py   a run's benchmarks before, during and after, inside its money
session.py     models on benchmarks in a folder, resumed, inside a budget
manifest.py    what was asked for, and what it settled
samples.py     every completion, on disk
scoring.py     from completions to figures; two models compared
statistics.py  estimates, intervals, the paired test
tables.py      results as tables, beside what the paper's models reached
score_file.py  the rewards of a file's rows
"""
