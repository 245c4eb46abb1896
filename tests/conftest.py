"""What several rooms need: the tiny base as a policy, prompts for it, a recipe, a finished run, the command."""

import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("whole_runs")
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
for name in ("TINA_LITE_RATE", "NO_COLOR"):
    os.environ.pop(name, None)
STATE = tempfile.TemporaryDirectory(prefix="state-")
os.environ["XDG_STATE_HOME"] = STATE.name  # what tests spend is not on this user's list

if "PYTEST_XDIST_WORKER" in os.environ:  # read when torch is loaded: workers are as many as cores
    os.environ["OMP_NUM_THREADS"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by `nohup ... &`: what a test starts would ignore Ctrl-C too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def quick_recipe(tmp_path: Path) -> Path:
    """A recipe of three small steps on the tiny base, in a folder of its own."""
    from whole_runs import quick_recipe_in

    return quick_recipe_in(tmp_path)


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `whole_runs.stateful` to which nothing happened; to be read, or copied."""
    from whole_runs import quick_recipe_in, stateful

    from tina_lite import run

    folder = tmp_path_factory.mktemp("straight")
    run(stateful(quick_recipe_in(folder)), out=folder / "out")
    return folder / "out"


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def tina(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """The command, in this process: `tina("run", "case.yaml", "--plain")`."""
    from tina_lite.cli.main import outcome

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("tina_lite.cli.process.leave", leave)

    def tina(*arguments: str) -> Said:
        capfd.readouterr()
        try:
            code = outcome(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return tina


@pytest.fixture(autouse=True)
def only_the_shipped_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    from tina_lite.rewards import registry

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


@pytest.fixture(autouse=True)
def guests_bring_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the working directory of an earlier test."""
    from tina_lite.util import user_code

    monkeypatch.setattr(user_code, "_theirs", user_code._Belongings())


@pytest.fixture(autouse=True)
def billed_from_its_own_beginning() -> None:
    """Or the first run of a process would be billed for all tests before it."""
    from tina_lite.budget.meter import end_run

    end_run()


@pytest.fixture
def make_policy() -> Callable[..., Any]:
    """A fresh policy over the tiny base; `spread` fills lora_B, which peft leaves at 0, so that the adapter acts."""

    def make(spread: float = 0.0, model_id: str = "builtin:tiny", fp32: bool = False, **changes: Any) -> Any:
        import torch
        from sections import model_sections

        from tina_lite.policy.native import NativePolicy
        from tina_lite.policy.pretrained import load_tokenizer

        model, lora = model_sections(model_id, changes)
        policy = NativePolicy(model, lora, load_tokenizer("builtin:tiny"), **{"seed": 1, **changes})
        if fp32:  # bf16 adapters round their gradients
            for tensor in policy.trainable().values():
                tensor.data = tensor.data.float()
        if spread:
            generator = torch.Generator().manual_seed(5)
            for name, tensor in policy.trainable().items():
                if "lora_B" in name:
                    tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * spread)
            policy.sync()
        return policy

    return make


@pytest.fixture
def make_prompts() -> Callable[..., list[Any]]:
    """The first `count` held-out problems as prompts of a policy."""
    from sections import load

    from tina_lite.data import first_prompts

    def make(policy: Any, count: int) -> list[Any]:
        problems = load("arithmetic", split="test", seed=3)
        return first_prompts(problems, policy.tokenizer, count, max_prompt_length=128, system_prompt=None)[0]

    return make


@pytest.fixture
def known_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """No card, and a CPU whose speed need not be measured, which takes seconds."""
    from tina_lite.launch import check, planning
    from tina_lite.plan import device
    from tina_lite.plan.device import CpuSpeed

    speed = CpuSpeed(float32=1e11, bfloat16=1e11, bandwidth=1e10, call_s=1e-5, dtype="float32")
    for module in (check, planning, device):
        monkeypatch.setattr(module, "usable_card", lambda: None)
    monkeypatch.setattr(planning, "known_cpu_speed", lambda hidden, intermediate: speed)
    monkeypatch.setattr(device, "cpu_speed", lambda hidden, intermediate: speed)
