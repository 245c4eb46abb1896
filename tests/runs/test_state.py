"""What a checkpoint holds of a run's state, under the names of now and of earlier versions."""

from dataclasses import asdict
from pathlib import Path

from tina_lite.eval.evaluator import Gains
from tina_lite.runs.checkpoint import SavedCheckpoint
from tina_lite.runs.state import CheckpointState, RunState, SavedRuntime
from tina_lite.train.callbacks import BadSteps, Streak
from tina_lite.train.schedule import LaidOut
from tina_lite.util.stateful import adapter

EARLIER = {"step": 3, "held": 2, "horizon": 0.5, "schedule_steps": 9, "skipped_steps": 1, "best_eval_step": 2}
CHOICES = {"kv_tokens": 9, "micro_batch_tokens": 8, "chunk_elements": 7, "dtype": "float32"}


def test_names_of_earlier_versions_are_read() -> None:
    runtime = adapter(SavedRuntime).validate_python({**CHOICES, "resident": True, "activations": "kept"})
    assert runtime == SavedRuntime(**CHOICES, dense_copy=True, activations="stored")
    assert adapter(SavedRuntime).validate_python(asdict(runtime)) == runtime


def test_what_callbacks_keep_now_is_found_in_the_state_of_earlier_versions() -> None:
    state = {"state": EARLIER, "log_sizes": {}, "choices": {**CHOICES, "resident": True, "activations": "kept"}}
    kept = CheckpointState(SavedCheckpoint(3, Path("step-000003"), state, "0.2.0"))
    run, streak, laid_out, bad, gains = RunState(), Streak(), LaidOut(), BadSteps(), Gains()
    parts = {"state": run, "condition": streak, "schedule": laid_out, "nonfinite": bad, "gains": gains}
    for name, part in parts.items():
        kept.hand_to(name, part)
    assert (run.step, streak.condition_streak, bad.skipped_steps, gains.best_eval_step) == (3, 2, 1, 2)
    assert (laid_out.lr_progress, laid_out.schedule_steps) == (0.5, 9)
    for part in parts.values():
        again = type(part)()
        again.load_state(part.state())
        assert again == part
