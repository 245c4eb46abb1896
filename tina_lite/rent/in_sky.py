"""Runs in SkyPilot's own Python: `in_sky.py < QUESTION > ANSWER`, both JSON. It imports nothing of tina-lite."""

import contextlib
import json
import sys
from typing import Any


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Offers of one card, or whether SkyPilot can read a task."""
    import sky

    if "task" in asked:
        sky.Task.from_yaml_config(asked["task"])
        return {}
    found = sky.list_accelerators(
        name_filter=f"^{asked['gpu']}$",
        quantity_filter=1,
        clouds=asked["cloud"],
        case_sensitive=False,
        all_regions=True,
    )
    offers = [one._asdict() for of_one in found.values() for one in of_one]
    names = ("cloud", "instance_type", "region", "price", "spot_price")
    return {"offers": [{name: one[name] for name in names} for one in offers]}


def main() -> None:
    asked = json.load(sys.stdin)
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # SkyPilot reports its progress there
        try:
            said = answer(asked)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
    json.dump(said, out)


if __name__ == "__main__":
    main()
