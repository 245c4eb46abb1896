"""A finished run on the tiny base whose adapter acts, without having trained one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tina_lite.recipe import load_recipe, to_yaml

CARD = """---
library_name: peft
---

# quick

| | |
| --- | --- |
| steps | 3 (max_steps) |

```python
```
"""


@pytest.fixture
def make_run(make_policy: Callable[..., Any], quick_recipe: Path, tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    """The run folder, and the policy as it was when it saved its adapter."""

    def make(model_id: str = "builtin:tiny", **changes: Any) -> tuple[Path, Any]:
        run = tmp_path / "runs" / "quick"
        policy = make_policy(spread=0.05, model_id=model_id, **changes)
        policy.save_adapter(run / "adapter")
        (run / "adapter" / "README.md").write_text(CARD)
        (run / "recipe.yaml").write_text(to_yaml(load_recipe(quick_recipe, {"model.id": model_id})))
        return run, policy

    return make


@pytest.fixture
def bare_run(quick_recipe: Path, tmp_path: Path) -> Path:
    """A run folder whose adapter is a config alone: what is refused before a model is loaded."""
    run = tmp_path / "runs" / "quick"
    (run / "adapter").mkdir(parents=True)
    config = {"r": 8, "lora_alpha": 32, "target_modules": ["q_proj"], "base_model_name_or_path": str(tmp_path)}
    (run / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    (run / "recipe.yaml").write_text(to_yaml(load_recipe(quick_recipe)))
    return run
