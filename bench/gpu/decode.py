"""The products of an MLP in a decode step, three ways, replayed; a line of JSON for each, and advice for the plan.

*share* is that of what the card's memory moves in a copy, of the bytes that the way has to move.
"""

import json
import sys

from rollout import bytes_a_second

ROWS = (8, 16, 24, 48, 64)
MODELS = ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-3B-Instruct")
ADVISES = MODELS[1]
"""The model whose rows the plan's table gives."""


def main() -> None:
    import torch

    from tina_lite.policy.dense.trial import ProductTrial, Way, measured_rows
    from tina_lite.policy.four_bit import products
    from tina_lite.policy.memory_request import READ_IN_4_BITS
    from tina_lite.policy.model_folder import read_shape

    moved: dict[Way, float] = {"4 bits": READ_IN_4_BITS, "copy": 2.0, "dequantised": READ_IN_4_BITS + 2 + 2}
    rehearse = "--rehearse" in sys.argv
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rate = bytes_a_second()
    for model in MODELS:
        for name, (out, into) in products(read_shape(model)).items():
            trial = ProductTrial(*((64, 64) if rehearse else (out, into)), device, torch.bfloat16)
            for rows in ROWS[: 1 if rehearse else None]:
                seconds = {way: trial.seconds(way, rows) for way in moved}
                line: dict[str, object] = {"model": model.rpartition("/")[2], "product": name, "rows": rows}
                line |= {f"{way}, ms": round(1000 * taken, 4) for way, taken in seconds.items()}
                if rate is not None:
                    line |= {
                        f"{way}, share": round(moved[way] * out * into / s / rate, 3) for way, s in seconds.items()
                    }
                print(json.dumps(line), flush=True)
    if rate is not None:
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        rows_of = dict(measured_rows(read_shape(ADVISES), device, torch.bfloat16))
        print(json.dumps({"advice": f'for BY_CAPABILITY in policy/four_bit.py: "{capability}": {json.dumps(rows_of)}'}))


if __name__ == "__main__":
    main()
