"""From a recipe to a run.

running.py      the way through, and what becomes of whatever ends it
check.py        every check that can be made before money is spent
open.py         folder, checkpoint, bill, events
load.py         the model, and the loop put together
close.py        model card, summary, report
resume.py       is it the same run, and is there anything left to do?
model_check.py  whether model, tokenizer and recipe fit each other
planning.py     what it would take
preview.py      what it would be, for people
"""

from tina_lite.launch.running import run, train

__all__ = ["run", "train"]
