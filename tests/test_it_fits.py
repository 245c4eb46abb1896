"""A real model, SmolLM2-135M, where 1.5 GB are free: it trains within that, or says at once what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from from_outside import ENVIRONMENT

MODEL = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tina-lite" / "smollm2-135m-instruct"
FREE = 1_500_000_000
TRAINS = """
import json, re, sys
from pathlib import Path

from tina_lite import Recipe, run, load_recipe
from tina_lite.policy import pretrained
from tina_lite.runs.events import StepDone

def resident(name):
    return int(re.search(rf"{name}:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

def free_bytes(device):
    # asked when the libraries are loaded and the model is not
    there.append(resident("VmRSS"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(sys.argv[3])

def watch(stamped):
    if isinstance(stamped.event, StepDone):
        taught.append(1 - stamped.event.metrics["frac_reward_zero_std"])

there, taught = [], []
pretrained.free_bytes = free_bytes
run(load_recipe(sys.argv[1], json.loads(sys.argv[4])), out=sys.argv[2], listeners=[watch])
print(json.dumps({"taught": taught, "peak": resident("VmHWM") - there[0]}))
""".replace("\\\\", "\\")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL.is_dir(), reason=f"needs SmolLM2-135M-Instruct in {MODEL}"),
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure the peak"),
]


def train(folder: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    (folder / "odd.py").write_text("def odd(completions, **_):\n    return [len(str(c)) % 7 for c in completions]\n")
    recipe = folder / "small.yaml"
    recipe.write_text(
        f"model: {{id: {MODEL}}}\ndata: {{source: arithmetic}}\nlora: {{r: 32, alpha: 64, dropout: 0.0}}\n"
        "rollout: {prompts_per_step: 4, num_generations: 8, max_prompt_length: 96, max_completion_length: 48}\n"
        "rewards: [{name: odd.py:odd}]\nbudget: {max_usd: 1.0, rate: 0.20}\nstop: {max_steps: 2}\nprobe: false\n"
    )
    command = [sys.executable, "-c", TRAINS, str(recipe), str(folder / "out"), str(FREE), json.dumps(changes)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_two_steps_stay_below_what_is_free(tmp_path):
    done = train(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["taught"] == [1, 1]  # every group takes part in both updates
    assert said["peak"] < FREE


def test_what_cannot_fit_says_what_it_needs_before_the_first_step(tmp_path):
    done = train(tmp_path, **{"rollout.max_completion_length": 7000})
    assert done.returncode == 1, "the program does not catch it; the command line makes 3 of it"
    last = done.stderr.strip().splitlines()[-1]
    assert "NoRoom: this needs" in last
    assert "1.40 GiB are free; lower rollout.max_completion_length" in last
    assert not (tmp_path / "out" / "metrics.jsonl").exists()
