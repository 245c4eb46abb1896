"""Many runs under one budget, on Ray.

file.py     a sweep as it is written, and its trials
driver.py   the loop: who is started where, with how much, and what becomes of the lost
rungs.py    who is too weak to go on
bill.py     what all of it costs; journal.py: where each trial was started
cluster.py  trials as processes, on the machines that Ray knows
run.py      a sweep from its file to its table
table.py    what it came to; console.py: while it goes on; page.py: as a report
"""
