"""TRL's GRPOTrainer as a peer: which dtype it is measured in."""

from sides import measure, worth_measuring

NAME = "TRL 1.16.0"
DTYPES = ("bfloat16", "float32")


def dtypes_worth_measuring(peer: str, model: str, data: str) -> tuple[list[str], dict[str, str]]:
    """By the first step of each, 16 completions of 8 tokens; those left out, with what is said of them."""

    def probe(dtype: str, limit_s: float) -> float:
        (seconds,) = measure(peer, "step_trl.py", model, data, dtype, "warm-up", limit_s=limit_s)["seconds"]
        return float(seconds)

    return worth_measuring(DTYPES, probe)
