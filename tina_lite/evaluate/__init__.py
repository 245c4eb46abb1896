"""How good a policy is: sampled Pass@1 while it trains, and whole benchmarks afterwards.

The room:
    passk.py       Pass@1 of the policy at hand
    examiner.py    a run's benchmarks before, during and after, inside its money
    session.py     models on benchmarks in a folder, resumed, inside a budget
    samples.py     every completion, on disk
    scoring.py     from completions to figures; two models compared
    votes.py       the majority answer
    statistics.py  estimates, intervals, the paired test
    paper.py       what the paper's models reached
"""
