"""Whether a run could start on this machine, and what mends it where not.

The room:
    checks.py   judgements, each of one thing that a run needs, as pure functions
    machine.py  the questions to this machine whose answers they judge
"""

from collections.abc import Iterator

from tina_lite.doctor import machine
from tina_lite.doctor.checks import (
    Finding,
    check_architecture,
    check_bf16,
    check_bitsandbytes,
    check_card,
    check_engine,
    check_hub,
    check_judge,
    check_memory,
    check_model_cache,
    check_packages,
    check_price,
    check_run_folder,
    check_unsloth,
)
from tina_lite.policy.engine import find_facts

__all__ = ["Finding", "examine"]


def examine(architecture: str | None = None) -> Iterator[Finding]:
    """All checks on this machine, and of a model_type; no more than the first where the others need what it lacks."""
    packages = check_packages(machine.wishes_of("tina-lite") or [], machine.version_of)
    yield packages
    if packages.level == "fault":
        return
    card, torch = machine.card(), machine.torch()
    if isinstance(torch, Finding):
        yield torch
        return
    yield check_card(card, torch)
    yield check_bf16(torch)
    yield check_bitsandbytes(lambda: machine.quantize_a_little("cuda" if torch.capability else "cpu"))
    yield check_judge(machine.judge_a_little)
    yield check_unsloth(machine.wishes_of("unsloth"), machine.version_of)
    yield check_engine(find_facts())
    yield check_memory(machine.free_memory())
    yield check_run_folder(*machine.run_folder())
    yield check_model_cache(*machine.model_cache())
    yield check_hub(machine.is_offline(), machine.hub_answers)
    yield check_price(card.name if card else None, machine.environment())
    if architecture is not None:
        yield check_architecture(architecture)
