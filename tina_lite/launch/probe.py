"""The memory of the longest step, tried before the first one where it will be tight; nothing is learnt."""

from typing import TYPE_CHECKING

from tina_lite.recipe import Recipe
from tina_lite.records import Completion, Group, Problem, Prompt, ScoredGroup

if TYPE_CHECKING:
    from tina_lite.learner import Learner
    from tina_lite.runs.session import Session
    from tina_lite.sampler import Sampler

ANY_TOKEN = 1


def probe(recipe: Recipe, sampler: "Sampler", learner: "Learner", session: "Session") -> None:
    """Decode full rows of the longest prompts and completions once, and differentiate a full micro-batch of them.

    Where memory does not suffice, sampler and learner go on with less, and say so; NoRoom where none is left to give.
    """
    rollout, started = recipe.rollout, session.meter.elapsed_s()
    if rollout.engine == "own":
        sampler.rehearse(_tokens(rollout.max_prompt_length), rollout.prompts_per_step, rollout.num_generations)
    learner.rehearse([longest_group(recipe) for _ in range(rollout.prompts_per_step)])
    seconds = session.meter.elapsed_s() - started
    session.notice(
        f"memory will be tight, so the longest rollout and update were tried: {seconds:.1f} s; "
        "--set probe=false leaves it out"
    )


def _tokens(count: int) -> tuple[int, ...]:
    return (ANY_TOKEN,) * count


def longest_group(recipe: Recipe) -> ScoredGroup:
    """A made-up group, as long as is allowed, and teaching."""
    rollout = recipe.rollout
    length, count = rollout.max_completion_length, rollout.num_generations
    completion = Completion(_tokens(length), (0.0,) * length, "", "stop")
    prompt = Prompt(Problem(0, "", "", {}), "", _tokens(rollout.max_prompt_length))
    advantages = tuple(float((-1) ** number) for number in range(count))
    return ScoredGroup(Group(prompt, (completion,) * count), {}, (0.0,) * count, advantages)
