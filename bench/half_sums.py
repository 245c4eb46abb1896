"""The error of an update's products with sums in float16, beside bfloat16's. `python bench/half_sums.py MODEL`

MODEL is a folder of a Llama-like model. Each projection on activations and gradients of its own for a text, against
the product in float64; the card's sums are imitated (tests/imitated_sums.py). A table goes to stderr, JSON to stdout.
"""

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from sides import head, say

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
TEXT = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May? In May she sold 48 / 2 = 24 clips, so 48 + 24 = 72 clips in both months."
)


def captured(folder: str) -> list[tuple[str, Any, Any]]:
    """Of each projection the pass, with what is multiplied: rows, and a weight (out, in)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    ids = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt").input_ids
    found: list[tuple[str, Any, Any]] = []

    def keep(name: str, module: Any, inputs: Any, output: Any) -> None:
        found.append((f"{name}, forward", inputs[0][0].detach(), module.weight.detach()))
        output.register_hook(lambda grad: found.append((f"{name}, backward", grad[0], module.weight.detach().T)))

    for name, module in model.named_modules():
        if name.endswith("_proj"):
            kind = name.rpartition(".")[2]
            module.register_forward_hook(lambda *given, kind=kind: keep(kind, *given))
    model(ids, labels=ids).loss.backward()
    return found


def main() -> None:
    from imitated_sums import SumsInFloat16

    from tina_lite.policy.dense.half_sums import add_product

    errors: dict[str, list[tuple[float, float]]] = {}
    for name, rows, matrix in captured(sys.argv[1]):
        x, weight = rows.bfloat16(), matrix.bfloat16()
        exact = x.double() @ weight.double().T
        with SumsInFloat16():
            ours = add_product(x.new_zeros(exact.shape), x, weight)
        both = [float((one.double() - exact).norm() / exact.norm()) for one in (x @ weight.T, ours)]
        errors.setdefault(name, []).append((both[0], both[1]))
    head("projection", "bfloat16", "sums in float16", "times, on average", "at most")
    means = {}
    for name, pairs in sorted(errors.items()):
        before, after = (fmean(column) for column in zip(*pairs))
        means[name] = {"bfloat16": before, "sums in float16": after}
        worst = max(other / one for one, other in pairs)
        say(name, f"{before:.4f}", f"{after:.4f}", f"{after / before:.2f}", f"{worst:.2f}")
    print(json.dumps(means))


if __name__ == "__main__":
    main()
