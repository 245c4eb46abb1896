"""How good a policy is: sampled Pass@1 with an interval."""

from tina_lite.evaluate.passk import bootstrap_interval, evaluate

__all__ = ["bootstrap_interval", "evaluate"]
