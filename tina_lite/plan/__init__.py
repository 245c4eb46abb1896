"""What a run will need, before it starts: memory by part, seconds a step, hours, dollars. Without torch."""

from tina_lite.plan.device import Device, find_device
from tina_lite.plan.gpus import Quote, quotes
from tina_lite.plan.planner import Plan, make_plan
from tina_lite.plan.speed import Measured, newest_measured, read_measured
from tina_lite.plan.text import plan_lines, plan_record
from tina_lite.policy.model_folder import read_shape

__all__ = [
    "Device",
    "Measured",
    "Plan",
    "Quote",
    "find_device",
    "make_plan",
    "newest_measured",
    "plan_lines",
    "plan_record",
    "quotes",
    "read_measured",
    "read_shape",
]
