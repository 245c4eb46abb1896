"""From a recipe to a run.

prepare.py      every check that can be made before money is spent
resume.py       is it the same run, and is there anything left to do?
model_check.py  whether model, tokenizer and recipe fit each other
preview.py      what the run would be and cost, without running it
running.py      folder, bill, model, loop, and what becomes of whatever ends them
assemble.py     the wiring
close.py        model card, summary, report
"""

from tina_lite.launch.running import run, train

__all__ = ["run", "train"]
