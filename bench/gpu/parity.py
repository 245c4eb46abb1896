"""The two engines on the shipped tiny base, each in a process of its own: tokens, log-probs and gradients compared.

Usage:
    python parity.py FOLDER ENGINE ...
"""

import json
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

from tina_lite.policy.model_folder import model_folder

PROBE = Path(__file__).parents[2] / "tests" / "policy" / "engine_probe.py"


def main() -> None:
    folder, *engines = (word for word in sys.argv[1:] if not word.startswith("--"))
    if len(engines) < 2:
        print(json.dumps({"missing": "unsloth is not installed: there are no two engines to compare"}))
        return
    facts, tensors = [], []
    for engine in engines:
        out = Path(folder) / engine
        out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(PROBE), engine, model_folder("builtin:tiny"), str(out), "24"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        facts.append(json.loads((out / "facts.json").read_text())["completions"])
        tensors.append(load_file(out / "tensors.safetensors"))
    ours, theirs = tensors
    rows = [(one, other) for pair in zip(*facts, strict=True) for one, other in zip(*pair, strict=True)]
    gradients = [name for name in ours if name.startswith("gradient.")]
    result = {
        "greedy_equal": sum(one == other for one, other in rows) / len(rows),
        "logprob_difference": float((ours["logprobs"] - theirs["logprobs"]).abs().max()),
        "gradient_difference": max(
            float((ours[name] - theirs[name]).norm() / ours[name].norm().clamp(min=1e-12)) for name in gradients
        ),
        "tensors": len(gradients),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
