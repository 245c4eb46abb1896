"""Seconds and peak memory by phase, and what `tina-lite plan` foretells of the same work."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sizes import PROJECTIONS, SHIPPED, Sizes

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe

T = TypeVar("T")
GIB = 1024**3


class Phases:
    """Seconds and peak of each phase; on a CPU the seconds alone."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._peaks: dict[str, float | None] = {}

    def measure(self, name: str, work: Callable[[], T]) -> T:
        import torch

        card = torch.cuda.is_available()
        if card:
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        try:
            return work()
        finally:
            if card:
                torch.cuda.synchronize()
            self._seconds[name] = time.perf_counter() - started
            self._peaks[name] = round(torch.cuda.max_memory_reserved() / GIB, 3) if card else None

    def seconds(self) -> float:
        """Of all phases together."""
        return round(sum(self._seconds.values()), 3)

    def peaks(self) -> dict[str, float | None]:
        return {f"{name}_peak_gib": peak for name, peak in self._peaks.items()}

    def figures(self) -> dict[str, float | None]:
        """Seconds, share and peak, by phase."""
        whole = sum(self._seconds.values())
        found: dict[str, float | None] = {}
        for name, seconds in self._seconds.items():
            found |= {f"{name}_s": round(seconds, 3), f"{name}_share": round(seconds / whole, 3)}
            found[f"{name}_peak_gib"] = self._peaks[name]
        return found


def planned(recipe: "Recipe", sizes: Sizes, cap_gb: float | None) -> tuple[Any, Any, Any]:
    """The plan's memory, seconds and device for a recipe whose rows are all as long as is allowed."""
    from tina_lite.plan import find_device
    from tina_lite.plan.device import card_named, room_on
    from tina_lite.plan.speed import StepWorkload, step_time
    from tina_lite.policy.memory import layout_of
    from tina_lite.policy.memory_request import MemoryRequest
    from tina_lite.policy.shape import ModelShape
    from tina_lite.util.device import card_name

    shape = ModelShape.from_config(sizes.config, SHIPPED)
    work = StepWorkload.of(recipe, {"prompt_share": 1.0, "completion_share": 1.0})
    name = card_name()
    if name is None:
        device = find_device(shape)
    else:
        vram = None if cap_gb is None else cap_gb * 1e9 / GIB
        device = find_device(shape, gpu=name if card_named(name) else None, vram_gib=vram)
    memory = layout_of(shape, MemoryRequest.of(recipe), room_on(device, shape))
    return memory, step_time(shape, work, device, memory, r=sizes.r, target_modules=PROJECTIONS), device


def planned_seconds(recipe: "Recipe", sizes: Sizes) -> dict[str, float]:
    _, seconds, _ = planned(recipe, sizes, None)
    return {"planned_rollout_s": round(seconds.rollout, 3), "planned_update_s": round(seconds.update, 3)}
