"""A plan for people, as lines of at most 80 columns, and for programs, as one record."""

from collections.abc import Callable, Iterator
from textwrap import wrap
from typing import Any

from tina_lite.budget.money import format_price, format_usd
from tina_lite.plan.device import GIB
from tina_lite.plan.planner import CLOSE_S, Plan
from tina_lite.policy.memory import MemoryLayout

WIDTH = 80
ALIKE = 1.05
"""Ends of a span that are nearer to each other are not told apart."""


def plan_lines(plan: Plan) -> list[str]:
    """Write a plan for people."""
    parameters = f"{plan.shape.parameters / 1e6:,.1f} million parameters"
    return [
        f"{plan.model}, {parameters}, {plan.quantization}",
        f"on {plan.device.name} with {_gib(plan.device.memory)} GiB, computing in {plan.device.dtype}",
        "",
        "memory, GiB",
        *_memory_lines(plan),
        "",
        "time and money",
        *_time_lines(plan),
        "",
        "assumed",
        *(line for text in plan.assumptions for line in wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ")),
    ]


def plan_record(plan: Plan) -> dict[str, Any]:
    """For programs; None stands for what is not known."""
    memory, device = plan.memory, plan.device
    return {
        "model": plan.model,
        "parameters": plan.shape.parameters,
        "device": device.name,
        "dtype": device.dtype,
        "vram_gib": {name: round(size / GIB, 4) for name, size in {**_parts(memory), "peak": memory.peak}.items()},
        "available_gib": round(device.memory / GIB, 4),
        "fits": plan.fits,
        "change": dict(plan.change) if plan.change else None,
        "dense_copy": memory.dense_copy,
        "in_4_bits": list(memory.in_4_bits),
        "recompute": memory.activations != "stored",
        "seconds_per_step": plan.step.total,
        "seconds": {
            "load": plan.load_s,
            "rollout": plan.step.rollout,
            "reward": plan.step.reward,
            "update": plan.step.update,
            "eval": plan.eval_s,
            "save": CLOSE_S,
        },
        "steps": plan.steps,
        "ended_by": plan.ended_by or None,
        "hours": plan.hours,
        "usd_per_hour": plan.rate.usd_per_hour if plan.rate else None,
        "rate_source": plan.rate.source if plan.rate else None,
        "usd": plan.usd,
        "kwh": plan.kwh,
        "epochs": plan.epochs,
        "span": _span_record(plan),
        "assumptions": list(plan.assumptions),
    }


def _span_record(plan: Plan) -> dict[str, list[float | None]]:
    """What may come out where all that is assumed turns out well, and ill."""
    ends = plan.span or ()
    seconds: list[float | None] = [one.step.total for one in ends]
    return {"seconds_per_step": seconds} | {
        name: [getattr(one, name) for one in ends] for name in ("steps", "hours", "usd", "kwh")
    }


def _memory_lines(plan: Plan) -> Iterator[str]:
    memory, dtype = plan.memory, plan.device.dtype
    copies = "dense, to learn and sample with" if plan.device.card else "dense to learn with, packed to sample with"
    copy = copies if memory.dense_copy else "none"
    if memory.in_4_bits:
        copy += f"; {' and '.join(memory.in_4_bits)} in 4 bits"
    elif not memory.dense_copy:
        copy += ": each weight is dequantised at each use"
    again = {"stored": "", "recomputed": ", layers computed twice", "offloaded": ", twice, off the card between"}
    notes = {
        "runtime": "CUDA and libraries" if plan.device.card else "interpreter, libraries, kernels",
        "base": f"projections in 4 bits, the rest in {dtype}" if plan.quantization == "nf4" else dtype,
        "sampling_copy": copy,
        "adapters": "bfloat16, gradients in float32",
        "optimizer": "float32 masters, gradients, moments",
        "kv_cache": f"{memory.kv_tokens:,} tokens: {memory.sequences:,} x the longest sequence",
        "sampling": "prompts being read, logits",
        "activations": f"{memory.micro_batch_tokens:,} tokens at once{again[memory.activations]}",
    }
    for name, size in _parts(memory).items():
        yield _row(name.replace("_", " ").replace("kv", "KV"), _gib(size), notes[name])
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    yield _row("peak", _gib(memory.peak), f"of {_gib(plan.device.memory)}: {verdict}")
    yield from wrap(f"laid out: {memory.reason}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    if plan.change:
        settings = " ".join(f"--set\0{field}={value}" for field, value in plan.change.items())
        lines = wrap(f"it fits with {settings}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        yield from (line.replace("\0", " ") for line in lines)  # an option is not torn apart
    elif not plan.fits:
        yield "  no setting of the recipe makes it fit; it needs a smaller model or more memory"


def _time_lines(plan: Plan) -> Iterator[str]:
    step = plan.step
    phases = f"rollout {_s(step.rollout)}, reward {_s(step.reward)}, update {_s(step.update)}"
    yield from _rows("a step", f"{_s(step.total)} s", _span(plan, lambda one: one.step.total, _seconds), phases)
    if plan.steps is None or plan.seconds is None:
        yield _row("steps", "?", "as the data give: set stop.max_steps or a budget")
    else:
        asked = f"{plan.steps * plan.prompts:,} prompts"
        epochs = f"{plan.epochs:.2g} of an epoch" if plan.epochs is not None else ""
        steps = _span(plan, lambda one: one.steps, lambda steps: f"{steps:,.0f}")
        yield from _rows("steps", f"{plan.steps:,}", steps, f"ended by {plan.ended_by}", asked, epochs)
        around = f"with loading {_s(plan.load_s)} s" + (f", evaluation {_s(plan.eval_s)} s" if plan.eval_s else "")
        yield from _rows("the run", _duration(plan.seconds), _span(plan, lambda one: one.seconds, _duration), around)
    if plan.rate is None:
        yield _row("cost", "?", "no price is known; say --rate DOLLARS_PER_HOUR")
    else:
        cost = "?" if plan.usd is None else format_usd(plan.usd)
        price = f"at {format_price(plan.rate.usd_per_hour)}/h ({plan.rate.source})"
        yield from _rows("cost", cost, _span(plan, lambda one: one.usd, format_usd), price)
    if plan.kwh is not None:
        kwh = _span(plan, lambda one: one.kwh, lambda kwh: f"{_s(kwh)} kWh")
        yield from _rows("electricity", f"{_s(plan.kwh)} kWh", kwh, f"at the board's {plan.device.watts:g} W")


def _span(plan: Plan, value: Callable[[Plan], float | None], say: Callable[[float], str]) -> str:
    """Such as "214 s to 1,006 s"; empty where assumptions make no difference."""
    low, high = sorted(value(one) or 0.0 for one in plan.span or (plan, plan))
    return f"{say(low)} to {say(high)}" if high > ALIKE * low else ""


def _rows(name: str, value: str, *notes: str) -> Iterator[str]:
    """One row, and below it those notes that it has no room for."""
    line = _row(name, value, "")
    for note in filter(None, notes):
        longer = f"{line}{'' if line.endswith('   ') else ', '}{note}"
        if len(longer) > WIDTH:
            yield line
            longer = _row("", "", note)
        line = longer
    yield line


def _row(name: str, value: str, note: str) -> str:
    return f"  {name:13} {value:>9}   {note}"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"


def _s(seconds: float) -> str:
    """Seconds with two digits that count.

    >>> _s(0.0123), _s(0.736), _s(21.44), _s(912.3)
    ('0.012', '0.74', '21', '912')
    """
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def _seconds(seconds: float) -> str:
    return f"{_s(seconds)} s"


def _duration(seconds: float) -> str:
    """Write a duration in its largest unit.

    >>> _duration(42.2), _duration(600), _duration(10_000)
    ('42 s', '10 min', '2.8 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _parts(memory: MemoryLayout) -> dict[str, int]:
    """By name, in bytes. The cache of a rollout and the activations of an update are not there at once."""
    names = ("runtime", "base", "sampling_copy", "adapters", "optimizer", "kv_cache", "sampling")
    return {**{name: getattr(memory, name) for name in names}, "activations": memory.activation_bytes}
