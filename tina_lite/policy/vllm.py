"""Sampling by vLLM, which Unsloth keeps beside the model on the same weights (`fast_inference`).

Written to the documented interfaces of both (vLLM's LLMEngine, Unsloth's load_lora); untested, for want of a card.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tina_lite.recipe.schema import RolloutSection

Sampled = tuple[list[int], list[float]]
"""Tokens, and their log-probs in nats at the sampling temperature."""


class Vllm:
    """Is the engine of a model that Unsloth loaded with `fast_inference`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        num_generations: int,
        rollout: "RolloutSection",
        stop_ids: Sequence[int],
        *,
        out_of_time: Callable[[], bool],
        max_tokens: float,
        finished: Callable[[int], None],
    ) -> Mapping[int, list[Sampled]]:
        """Completions by the number of their prompt; prompts that were not finished in time are left out.

        Args:
            prompts: token ids.
            seeds: one a prompt.
            out_of_time: asked after every step of the engine.
            max_tokens: no more are drawn; a completion counts as one token for each step until it is done.
            finished: told how many completions are done.
        """
        llm = self._model.vllm_engine
        llm.wake_up()  # on standby its cache lends its memory to training
        adapter = self._model.load_lora("tina-lite", load_tensors=True)  # the tensors as they are now
        engine, done, drawn, running = llm.llm_engine, {}, 0, len(prompts) * num_generations
        for number, (ids, seed) in enumerate(zip(prompts, seeds, strict=True)):
            parameters = _parameters(rollout, stop_ids, num_generations, seed)
            engine.add_request(str(number), {"prompt_token_ids": list(ids)}, parameters, lora_request=adapter)
        while engine.has_unfinished_requests() and drawn + running <= max_tokens and not out_of_time():
            drawn += running
            for output in engine.step():
                if output.finished:
                    done[int(output.request_id)] = [_sampled(completion) for completion in output.outputs]
                    running -= num_generations
                    finished(sum(map(len, done.values())))
        engine.abort_request([str(number) for number in range(len(prompts)) if number not in done])
        llm.sleep(1)
        return done


def _parameters(rollout: "RolloutSection", stop_ids: Sequence[int], num_generations: int, seed: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=num_generations,
        temperature=rollout.temperature,
        max_tokens=rollout.max_completion_length,
        seed=seed,
        logprobs=0,  # of the drawn token alone
        stop_token_ids=list(stop_ids),
        stop=list(rollout.stop),
        include_stop_str_in_output=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _sampled(completion: Any) -> Sampled:
    ids = list(completion.token_ids)
    return ids, [float(at[token].logprob) for at, token in zip(completion.logprobs, ids, strict=True)]
