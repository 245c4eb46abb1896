"""The products of an MLP in a decode step, three ways, and what is between products, compiled or not; lines of JSON.

All is replayed. *share* is that of what the card's memory moves in a copy, of the bytes that the way has to move. The
last line is advice for the plan.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from rollout import bytes_a_second

ROWS = (8, 16, 24, 48, 64)
MODELS = ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-3B-Instruct")
ADVISES = MODELS[1]
"""The model whose rows the plan's table gives."""
REPEATS = 16
"""Of a layer in one recording, so that its start does not count."""


def products_of(
    shape: Any, rows_tried: tuple[int, ...], device: Any, rate: float | None, rehearse: bool
) -> Iterator[dict[str, Any]]:
    import torch

    from tina_lite.policy.dense.trial import ProductTrial, Way
    from tina_lite.policy.four_bit import products
    from tina_lite.policy.memory_request import READ_IN_4_BITS

    moved: dict[Way, float] = {"4 bits": READ_IN_4_BITS, "copy": 2.0, "dequantised": READ_IN_4_BITS + 2 + 2}
    for name, (out, into) in products(shape).items():
        trial = ProductTrial(*((64, 64) if rehearse else (out, into)), device, torch.bfloat16)
        for rows in rows_tried:
            seconds = {way: trial.seconds(way, rows) for way in moved}
            line: dict[str, Any] = {"product": name, "rows": rows}
            line |= {f"{way}, ms": round(1000 * taken, 4) for way, taken in seconds.items()}
            if rate is not None:
                line |= {f"{way}, share": round(moved[way] * out * into / s / rate, 3) for way, s in seconds.items()}
            yield line


def between_of(shape: Any, rows_tried: tuple[int, ...], device: Any) -> Iterator[dict[str, Any]]:
    """A layer's stretches with the MLP in 4 bits, where a product comes to two addends."""
    import torch

    from tina_lite.policy.dense.between import AS_IT_COMES, between_on, example
    from tina_lite.policy.dense.trial import timed

    ways = {"as it comes": AS_IT_COMES, "compiled": between_on(device, torch.bfloat16, shape, 1e-6)}
    for rows in rows_tried:
        layer = example(rows, device, torch.bfloat16, shape, 1e-6, addends=(2,))
        line: dict[str, Any] = {"product": "between", "rows": rows}
        for name, way in ways.items():
            work = partial(layer, way)
            work()  # kernels are loaded
            line[f"{name}, ms"] = round(1000 * timed(partial(_repeat, work)) / REPEATS, 4)
            if device.type == "cuda":
                line[f"{name}, kernels"] = kernels(work)
        yield line


def _repeat(work: Callable[[], object]) -> None:
    for _ in range(REPEATS):
        work()


def kernels(work: Callable[[], object]) -> int:
    """How many a card launches for it."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        work()
    return sum(event.device_type.name == "CUDA" for event in seen.events())


def say(model: str, lines: Iterator[dict[str, Any]]) -> None:
    for line in lines:
        print(json.dumps({"model": model, **line}), flush=True)


def main() -> None:
    import torch

    from tina_lite.policy.dense.trial import measured_rows
    from tina_lite.policy.model_folder import read_shape

    torch.set_grad_enabled(False)
    rehearse = "--rehearse" in sys.argv
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rate = bytes_a_second()
    rows = ROWS[: 1 if rehearse else None]
    shapes = {model.rpartition("/")[2]: read_shape(model) for model in MODELS}
    small: dict[str, Any] = {"hidden": 64, "intermediate": 128} if rehearse else {}
    for name, shape in shapes.items():
        say(name, products_of(shape, rows, device, rate, rehearse))
    for name, shape in shapes.items():
        say(name, between_of(replace(shape, **small), rows, device))
    if rate is not None:
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        rows_of = dict(measured_rows(read_shape(ADVISES), device, torch.bfloat16))
        print(json.dumps({"advice": f'for BY_CAPABILITY in policy/four_bit.py: "{capability}": {json.dumps(rows_of)}'}))


if __name__ == "__main__":
    main()
