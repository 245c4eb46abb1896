"""Steps, hours and dollars by hand; the change that makes a recipe fit; correction by a run."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.budget import Rate
from tina_lite.plan import Device, Measured, make_plan, plan_lines, plan_record, read_measured, read_shape
from tina_lite.plan.device import GIB
from tina_lite.plan.planner import CLOSE_S
from tina_lite.plan.speed import changed
from tina_lite.policy.model_folder import shipped_models
from tina_lite.recipe import Recipe

QWEN = "Qwen/Qwen2.5-1.5B"
RATE = Rate(0.36, "test")  # 0.0001 dollars a second


@pytest.fixture
def plan_with(recipe_with, card_of):
    def make(rate=RATE, vram_gib=80.0, **sections):
        return make_plan(read_shape(QWEN), recipe_with(model={"id": QWEN}, **sections), card_of(vram_gib), rate=rate)

    return make


def test_a_run_is_loading_its_steps_and_closing(plan_with):
    plan = plan_with(stop={"max_steps": 10})
    assert (plan.steps, plan.ended_by, plan.eval_s) == (10, "max_steps", 0.0)
    assert plan.seconds == pytest.approx(plan.load_s + 10 * plan.step.total + CLOSE_S)
    assert plan.usd == pytest.approx(plan.seconds * 0.0001)
    assert plan.hours == pytest.approx(plan.seconds / 3600)


def test_evaluation_is_before_and_after_and_between(plan_with):
    held_out = {"benchmarks": ["held_out"], "problems": 10, "samples": 2}
    twice = plan_with(stop={"max_steps": 10}, eval=held_out)
    often = plan_with(stop={"max_steps": 10}, eval={**held_out, "every": 5})
    assert often.eval_s == pytest.approx(2 * twice.eval_s)
    assert twice.eval_s > 0


@pytest.mark.parametrize(
    ("budget", "stop", "ended_by"),
    [
        ({"max_usd": 0.05}, {"max_steps": 10_000}, "max_usd"),
        ({"max_usd": 50}, {"max_steps": 10_000, "max_hours": 0.2}, "max_hours"),
        ({"max_usd": 50}, {"max_steps": 3, "max_hours": 100}, "max_steps"),
    ],
)
def test_the_first_limit_ends_the_run(plan_with, budget, stop, ended_by):
    plan = plan_with(budget=budget, stop=stop)
    assert plan.ended_by == ended_by
    assert plan.usd <= budget["max_usd"]
    assert plan.hours <= stop.get("max_hours", 1e9)
    more = replace(plan, steps=plan.steps + 1)
    assert more.usd > budget["max_usd"] or more.hours > stop.get("max_hours", 1e9) or more.steps > stop["max_steps"]


@pytest.mark.parametrize(
    "limit", [{"budget": {"max_usd": 0.9}}, {"budget": {"max_usd": 99}, "stop": {"max_hours": 2.5}}]
)
def test_hours_that_are_billed_whole_are_planned_whole(plan_with, limit):
    """At $0.36 an hour $0.9 are two and a half."""
    plan = plan_with(rate=Rate(0.36, "test", 3600.0), **limit)
    assert plan.hours <= 2.0 < replace(plan, steps=plan.steps + 1).hours
    assert plan.usd == pytest.approx(0.72)


def test_what_is_not_known_is_none_and_said(plan_with):
    plan = plan_with(rate=None)
    assert (plan.steps, plan.hours, plan.usd) == (None, None, None)
    text = "\n".join(plan_lines(plan))
    assert "set stop.max_steps or a budget" in text
    assert "say --rate" in text


models = st.sampled_from([QWEN, "Qwen/Qwen2.5-3B-Instruct", "HuggingFaceTB/SmolLM2-360M-Instruct"])


@settings(max_examples=60, deadline=None)
@given(
    model=models,
    vram=st.floats(1.0, 24.0),
    completion=st.integers(16, 16384),
    batch=st.integers(64, 65536),
    r=st.integers(1, 256),
    kv=st.none() | st.integers(16, 500_000),
    quantization=st.sampled_from(["nf4", "none"]),
)
def test_the_change_that_is_named_makes_it_fit(model, vram, completion, batch, r, kv, quantization):
    recipe = Recipe.model_validate(
        {
            "model": {"id": model, "quantization": quantization},
            "lora": {"r": r},
            "data": {"source": "arithmetic"},
            "rollout": {"max_completion_length": completion, "kv_tokens": kv},
            "optim": {"micro_batch_tokens": batch},
        }
    )
    card = Device("", True, int(vram * GIB), "bfloat16", 1e14, 5e13, 1e12, 1e-5, 1e-5)
    smaller = {name: read_shape(name) for name in shipped_models()}
    plan = make_plan(read_shape(model), recipe, card, smaller=smaller)
    assert not (plan.fits and plan.change)
    if plan.change:
        mended = changed(recipe, plan.change)
        Recipe.model_validate(mended.model_dump())  # a value that a recipe may have
        assert make_plan(read_shape(mended.model.id), mended, card).fits


def test_shorter_completions_are_asked_for_where_smaller_batches_do_not_help(plan_with):
    plan = plan_with(vram_gib=4.5, optim={"micro_batch_tokens": 65536}, rollout={"num_generations": 64})
    assert plan.fits
    assert plan.memory.micro_batch_tokens < 65536
    assert plan.memory.sequences < 64 * plan.shape.layers
    plan = plan_with(vram_gib=4.5, rollout={"max_completion_length": 32768})
    assert not plan.fits
    assert list(plan.change) == ["rollout.max_completion_length"]
    (line,) = [line for line in plan_lines(plan) if "it fits with" in line]
    assert f"--set rollout.max_completion_length={plan.change['rollout.max_completion_length']}" in line


def test_where_nothing_helps_a_smaller_model_is_named_or_none(recipe_with, card_of):
    recipe = recipe_with(model={"id": QWEN}, rollout={"max_completion_length": 64})
    small = {name: read_shape(name) for name in shipped_models()}
    plan = make_plan(read_shape(QWEN), recipe, card_of(1.5), smaller=small)
    assert list(plan.change) == ["model.id"]
    hopeless = make_plan(read_shape(QWEN), recipe, card_of(0.1), smaller=small)
    assert hopeless.change is None
    assert not hopeless.fits
    assert "no setting of the recipe makes it fit" in "\n".join(plan_lines(hopeless))


@pytest.fixture
def measured(recipe_with) -> Measured:
    recipe = recipe_with(
        model={"id": QWEN}, rollout={"max_prompt_length": 100, "max_completion_length": 200}, name="done"
    )
    return Measured("runs/done", recipe, "a card", 20, step_s=7.0, prompt=50.0, completion=150.0, peak_bytes=2 * GIB)


def test_a_run_of_the_same_recipe_gives_its_own_seconds(measured, card_of):
    plan = make_plan(read_shape(QWEN), measured.recipe, card_of(80), measured=measured)
    assert plan.step.total == pytest.approx(7.0)
    assert any("corrected by runs/done" in text for text in plan.assumptions)


def test_a_run_corrects_another_recipe_by_its_ratio(measured, card_of):
    shape, device = read_shape(QWEN), card_of(80)
    longer = changed(measured.recipe, {"rollout.max_completion_length": 400})
    slow = make_plan(shape, longer, device, measured=replace(measured, step_s=14.0))
    quick = make_plan(shape, longer, device, measured=measured)
    assert slow.step.total == pytest.approx(2 * quick.step.total)
    assert quick.step.total > 7.0


@pytest.mark.parametrize(
    ("changes", "why"), [({"device": "NVIDIA L40S"}, "it ran on L40S"), ({"other": 1}, "it is of builtin:tiny")]
)
def test_a_run_that_tells_nothing_is_not_used(measured, card_of, changes, why):
    recipe = changed(measured.recipe, {"model.id": QWEN})
    if "other" in changes:
        measured = replace(measured, recipe=changed(measured.recipe, {"model.id": "builtin:tiny"}))
    else:
        measured = replace(measured, **changes)
    plan = make_plan(read_shape(QWEN), recipe, card_of(80), measured=measured)
    assert plan.step == make_plan(read_shape(QWEN), recipe, card_of(80)).step
    assert any(why in text for text in plan.assumptions)


def test_a_run_folder_is_read_to_its_torn_end(tmp_path, quick_recipe):
    (tmp_path / "recipe.yaml").write_text(quick_recipe.read_text())
    (tmp_path / "events.jsonl").write_text('{"event": "run_started", "device": "a card"}\n{"event": "sto')
    step = {"tokens_per_second": 32.0, "completions/mean_length": 4.0, "peak_bytes": 5}
    steps = [{**step, "step_time": s, "num_tokens": n} for s, n in ((9.0, 400), (2.0, 504), (4.0, 672))]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, steps)) + '\n{"step": 4, "ste')
    run = read_measured(tmp_path)
    assert (run.device, run.steps, run.step_s, run.completion) == ("a card", 3, 3.0, 4.0)
    assert run.prompt == pytest.approx((672 - 32.0 * 15) / 12)  # 3 steps of 4 prompts
    assert run.lengths == {"prompt_share": 16 / 64, "completion_share": 4 / 24}


def test_the_record_is_json_and_lines_fit_a_narrow_terminal(plan_with):
    long = plan_with(stop={"max_steps": 123_456}, vram_gib=8.0)
    for plan in (plan_with(), plan_with(rate=None, vram_gib=2.0), plan_with(stop={"max_steps": 10}), long):
        record = json.loads(json.dumps(plan_record(plan)))
        parts = record["vram_gib"]
        assert parts["peak"] == pytest.approx(plan.memory.peak / GIB, abs=1e-3)
        assert set(parts) > {"base", "sampling_copy", "adapters", "optimizer", "kv_cache", "activations", "peak"}
        assert record["fits"] is plan.fits
        assert record["seconds_per_step"] == pytest.approx(
            sum(record["seconds"][p] for p in ("rollout", "reward", "update"))
        )
        assert all(len(line) <= 80 for line in plan_lines(plan))


def test_the_span_lies_around_what_is_likely_and_gets_narrower_once_a_run_is_known(measured, card_of, plan_with):
    guessed = plan_with(stop={"max_steps": 10})
    known = make_plan(read_shape(QWEN), measured.recipe, card_of(80), rate=RATE, max_steps=10, measured=measured)
    widths = []
    for plan in (guessed, known):
        well, ill = plan.span
        assert well.step.total < plan.step.total < ill.step.total
        assert (well.steps, ill.steps) == (10, 10)
        assert well.usd < plan.usd < ill.usd
        widths.append(ill.step.total / well.step.total)
    assert widths[0] > 2 > 1.3 > widths[1]


def test_a_budget_buys_more_steps_where_they_turn_out_shorter(plan_with):
    plan = plan_with(budget={"max_usd": 0.05}, stop={"max_steps": 10_000})
    well, ill = plan.span
    assert well.steps > plan.steps > ill.steps
    assert max(well.usd, plan.usd, ill.usd) <= 0.05


def test_electricity_is_the_boards_power_over_the_hours(recipe_with, card_of):
    recipe = recipe_with(model={"id": QWEN}, stop={"max_steps": 10})
    plan = make_plan(read_shape(QWEN), recipe, card_of(80, watts=300.0), rate=RATE)
    assert plan.kwh == pytest.approx(0.3 * plan.hours)
    assert any(line.split()[:1] == ["electricity"] for line in plan_lines(plan))
    assert plan_record(plan)["kwh"] == plan.kwh
    assert make_plan(read_shape(QWEN), recipe, card_of(80), rate=RATE).kwh is None


def test_the_share_of_an_epoch_is_prompts_over_problems(recipe_with, card_of):
    recipe = recipe_with(model={"id": QWEN}, stop={"max_steps": 10}, rollout={"prompts_per_step": 6})
    plan = make_plan(read_shape(QWEN), recipe, card_of(80), problems=240)
    assert plan.epochs == 0.25
    assert any("60 prompts, 0.25 of an epoch" in line for line in plan_lines(plan))
