"""The reward for reasoning that shows its steps."""

import re

from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.registry import reward

STEP = re.compile(r"Step \d+:|^\d+\.|^[-*]|First,|Second,|Next,|Finally,", re.MULTILINE)
STEPS_FOR_FULL_REWARD = 3


@reward("reasoning_steps")
def reasoning_steps(completions: Completions) -> list[float]:
    r"""min(1, hits / 3); a hit is "Step N:", a line that starts with "N.", "-" or "*", or "First,", "Second,", "Next,"
    or "Finally,".

    Range: 0 to 1. Source: open-r1's reasoning_steps, used in Tina (arXiv 2504.15777).

    >>> from tina_lite.rewards.completions import chat
    >>> reasoning_steps(chat("Step 1: add\nStep 2: halve\nFinally, 7", "1. add\n2. halve\n3. 7\n4. done", "7", ""))
    [1.0, 1.0, 0.0, 0.0]
    >>> [round(value, 3) for value in reasoning_steps(chat("- add", "First, add. Next, halve."))]
    [0.333, 0.667]
    """
    return [min(1.0, len(STEP.findall(text)) / STEPS_FOR_FULL_REWARD) for text in contents(completions)]
