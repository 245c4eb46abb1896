"""What a run will need, before it starts: memory by part, seconds a step, hours, dollars. Without torch."""

from tina_lite.plan.device import Device, find_device
from tina_lite.plan.elsewhere import OtherCard, elsewhere
from tina_lite.plan.measured import Measured, newest_measured, read_measured
from tina_lite.plan.model_config import read_shape
from tina_lite.plan.planner import Plan, make_plan
from tina_lite.plan.quotes import Quote, quotes
from tina_lite.plan.text import plan_lines, plan_record

__all__ = [
    "Device",
    "Measured",
    "OtherCard",
    "Plan",
    "Quote",
    "elsewhere",
    "find_device",
    "make_plan",
    "newest_measured",
    "plan_lines",
    "plan_record",
    "quotes",
    "read_measured",
    "read_shape",
]
