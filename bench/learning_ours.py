"""One side of `bench/learning.py`: one run of the product. Prints one JSON line."""

import json
import sys
import tempfile
import time
from pathlib import Path

from learning_task import curves_of, digest, prompts_of

from tina_lite.launch import run
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.recipe import Recipe


def main() -> None:
    recipe = Recipe.model_validate_json(sys.argv[1])
    with tempfile.TemporaryDirectory() as parent:
        started = time.perf_counter()
        run(recipe, out=Path(parent) / "run")
        seconds = time.perf_counter() - started
        lines = (Path(parent) / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line) for line in lines]
    asked = prompts_of(recipe.model_dump(), load_tokenizer(recipe.model.id))
    prompts = digest([list(prompt.ids) for prompt in asked])
    curves = curves_of(steps)
    print(json.dumps({"seed": recipe.seed, "seconds": round(seconds, 1), "prompts": prompts, "curves": curves}))


if __name__ == "__main__":
    main()
