"""A run on a .jsonl of a million rows: seconds to its first step, and its peak memory. `python bench/data.py [ROWS]`

The file is made in a temporary folder; its rows are sums with a worked solution, some 500 bytes each. A table goes to
stderr, one JSON object to stdout.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from sides import head, in_time, run, say

RECIPE = """\
name: big
model: {id: builtin:tiny, compute_dtype: float32}
lora: {r: 8, alpha: 32, dropout: 0.0}
data: {source: big.jsonl}
rollout: {prompts_per_step: 4, num_generations: 4, max_prompt_length: 512, max_completion_length: 24, kv_tokens: 16384}
budget: {max_usd: 1.0, rate: 0.20}
stop: {max_steps: 1}
eval: {benchmarks: [held_out], problems: 4, samples: 1}
"""
SENTENCE = "Sam has {} shells, finds some more of them on the beach and puts all of them into one large box. "


def write_rows(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            question = SENTENCE.format(row) + f"What is {row}+{row % 97}?"
            answer = SENTENCE.format(row) * 2 + f"\n#### {row + row % 97}"
            file.write(json.dumps({"id": row, "question": question, "answer": answer}) + "\n")


def seconds_to_first_step(folder: Path) -> float:
    started = time.time()
    (out,) = run([[sys.executable, "-m", "tina_lite.cli.main", "run", "big.yaml", "--json"]], cwd=str(folder))
    events = map(json.loads, out.splitlines())
    return next(float(event["at"]) for event in events if event["event"] == "step") - started


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    result: dict[str, float] = {"rows": rows}
    head("rows", "file, MB", "first step, s", "peak resident, GB")
    with tempfile.TemporaryDirectory() as name, in_time():
        folder = Path(name)
        write_rows(folder / "big.jsonl", rows)
        (folder / "big.yaml").write_text(RECIPE)
        result["file_mb"] = round((folder / "big.jsonl").stat().st_size / 1e6)
        result["first_step_s"] = round(seconds_to_first_step(folder), 1)
        result["peak_bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        say(f"{rows:,}", result["file_mb"], result["first_step_s"], f"{result['peak_bytes'] / 1e9:.2f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
