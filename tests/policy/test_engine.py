"""The choice of an engine, on machines that are made up."""

import sys
from dataclasses import replace

import pytest
from from_outside import imported_by

from tina_lite.policy import engine as engine_module
from tina_lite.policy.engine import TESTED, Facts, choose_engine, find_facts, refuse_vllm
from tina_lite.util.errors import BadInput

READY = Facts(8.9, "2.13.0", TESTED, TESTED, "0.28.0", frozenset())
ON_CPU = replace(READY, capability=None, torch="2.13.0+cpu")


def qwen() -> str:
    return "qwen2"


def never() -> str:
    raise AssertionError("config.json is not needed here, and may be out of reach")


def gemma() -> str:
    return "gemma2"


def test_auto_takes_the_engine_that_is_faster_for_the_architecture() -> None:
    engine = choose_engine("auto", READY, gemma)
    assert str(engine) == "unsloth: a CUDA card, and gemma2 is an architecture that Unsloth accelerates"
    assert not engine.warnings
    engine = choose_engine("auto", READY, qwen)
    assert str(engine) == "native: its decode steps of qwen2 are replayed, which is faster than Unsloth's"
    assert not engine.warnings


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"capability": None}, "no CUDA card"),
        ({"torch": "2.13.0+cpu"}, "torch 2.13.0+cpu is built for CPUs"),
        ({"unsloth": None}, "unsloth not installed (pip install --no-deps unsloth=="),
        ({"unsloth_zoo": None, "unsloth": None}, "unsloth and unsloth_zoo not installed"),
        ({"capability": 7.5}, "compute capability 7.5, hence no bfloat16"),
        ({"imported": frozenset({"transformers"})}, "imported transformers before Unsloth"),
    ],
)
def test_auto_is_portable_without_a_look_at_the_model(changes: dict, reason: str) -> None:
    engine = choose_engine("auto", replace(READY, **changes), never)
    assert engine.name == "native"
    assert reason in engine.why


def test_auto_is_portable_for_an_architecture_without_a_fast_path() -> None:
    engine = choose_engine("auto", READY, lambda: "gpt_neox")
    assert str(engine) == "native: Unsloth has no fast path for gpt_neox"


@pytest.mark.parametrize(
    "changes",
    [
        {"unsloth": None},
        {"unsloth_zoo": None},
        {"capability": 6.1},
        {"imported": frozenset({"transformers"})},
    ],
)
def test_what_cannot_be_had_is_one_clear_line(changes: dict) -> None:
    with pytest.raises(BadInput, match=r"^model\.engine: unsloth cannot be used: .*model\.engine=native$") as error:
        choose_engine("unsloth", replace(READY, **changes), never)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("facts", "kind", "warning"),
    [
        (ON_CPU, "qwen2", "no CUDA card: Unsloth runs transformers' own code"),
        (READY, "gpt_neox", "no fast path for gpt_neox"),
        (
            replace(READY, unsloth="2027.1.1"),
            "qwen2",
            f"unsloth 2027.1.1 is outside the tested range, which is {TESTED}",
        ),
        (replace(READY, unsloth_zoo="2026.9.1"), "qwen2", "unsloth_zoo 2026.9.1 is outside"),
    ],
)
def test_unsloth_as_wished_with_what_is_amiss(facts: Facts, kind: str, warning: str) -> None:
    engine = choose_engine("unsloth", facts, lambda: kind)
    assert engine.name == "unsloth"
    assert len(engine.warnings) == 1
    assert warning in engine.warnings[0]


def test_the_two_engines_never_meet_in_one_process() -> None:
    both = frozenset({"unsloth", "transformers"})
    assert choose_engine("unsloth", replace(READY, imported=both), qwen).name == "unsloth"
    assert choose_engine("auto", replace(READY, imported=both), gemma).name == "unsloth"
    for wanted, facts in (("native", READY), ("auto", ON_CPU)):
        with pytest.raises(BadInput, match="start a new process"):
            choose_engine(wanted, replace(facts, imported=both), qwen)


@pytest.mark.parametrize(
    ("capability", "dtype", "said"),
    [
        (6.1, "auto", "computing in float32, which is slower"),
        (7.5, "auto", "computing in float16 with a loss scale"),
        (7.5, "float32", ""),
        (8.0, "auto", ""),
    ],
)
def test_an_old_card_computes_in_what_it_has_and_says_so(capability: float, dtype: str, said: str) -> None:
    engine = choose_engine("native", replace(READY, capability=capability), never, dtype)
    assert len(engine.warnings) == bool(said)
    assert all(said in warning for warning in engine.warnings)


def test_float16_is_the_portable_engines_and_a_cards() -> None:
    assert choose_engine("auto", READY, qwen, "float16").name == "native"
    with pytest.raises(BadInput, match="which the native engine alone computes in"):
        choose_engine("unsloth", READY, qwen, "float16")
    for wanted in ("auto", "native", "unsloth"):
        with pytest.raises(BadInput, match="float16 is for a card"):
            choose_engine(wanted, ON_CPU, qwen, "float16")


def test_vllm_needs_unsloth_a_card_and_itself() -> None:
    engine = choose_engine("auto", READY, never, vllm=True)
    assert str(engine) == "unsloth: rollouts by vLLM need it"
    refuse_vllm(engine, READY)
    for facts, reason in (
        (
            replace(READY, unsloth=None),
            "it needs model.engine unsloth, and the engine is native: unsloth not installed",
        ),
        (replace(READY, vllm=None), r"vllm is not installed \(pip install vllm\)"),
        (ON_CPU, "it needs model.engine unsloth, and the engine is native: no CUDA card"),
    ):
        with pytest.raises(BadInput, match=f"^rollout.engine: vllm cannot be used: {reason}.*rollout.engine=native$"):
            refuse_vllm(choose_engine("auto", facts, qwen, vllm=True), facts)
    with pytest.raises(BadInput, match="it needs a CUDA card"):
        refuse_vllm(choose_engine("unsloth", ON_CPU, qwen), ON_CPU)


def test_facts_of_this_machine() -> None:
    facts = find_facts()
    assert (facts.torch or "").startswith("2.")
    assert facts.imported == {"unsloth", "transformers"} & sys.modules.keys()
    assert engine_module.installed_version("no-such-package") is None


def test_the_choice_imports_nothing_heavy() -> None:
    program = (
        "from tina_lite.policy.engine import choose_engine, find_facts;"
        "choose_engine('auto', find_facts(), lambda: 'qwen2')"
    )
    assert imported_by(program, "torch", "transformers", "peft", "unsloth") == []
