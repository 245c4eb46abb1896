"""What a checkpoint holds of a run's state."""

from dataclasses import asdict

from tina_lite.runs.state import RunState, SavedRuntime
from tina_lite.util.stateful import adapter


def test_names_of_earlier_versions_are_read() -> None:
    state = RunState()
    state.load_state({"step": 3, "held": 2, "horizon": 0.5})
    assert (state.step, state.condition_streak, state.lr_progress) == (3, 2, 0.5)
    again = RunState()
    again.load_state(state.state())
    assert again == state
    earlier = {"resident": True, "kv_tokens": 9, "micro_batch_tokens": 8, "chunk_elements": 7, "dtype": "float32"}
    runtime = adapter(SavedRuntime).validate_python({**earlier, "activations": "kept"})
    assert runtime == SavedRuntime(True, 9, 8, "stored", 7, "float32")
    assert adapter(SavedRuntime).validate_python(asdict(runtime)) == runtime
