"""Rollouts by vLLM, against a made-up engine of its documented interface; the real one needs a card."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from fakes import FakePolicy, prompt
from sections import rollout_section
from test_sampler import table

from tina_lite.policy.vllm import Vllm
from tina_lite.rollout.vllm import VllmSampler, request_seed


class FakeLlm:
    """vLLM's LLM and LLMEngine in one: finishes one request a step, the last first."""

    def __init__(self) -> None:
        self.llm_engine = self
        self.requests: dict[str, tuple] = {}
        self.said: list[str] = []

    def wake_up(self) -> None:
        self.said.append("wake_up")

    def sleep(self, level: int) -> None:
        self.said.append(f"sleep {level}")

    def add_request(self, request_id, inputs, parameters, *, lora_request) -> None:
        assert lora_request == "adapter"
        self.requests[request_id] = (inputs["prompt_token_ids"], parameters)

    def has_unfinished_requests(self) -> bool:
        return bool(self.requests)

    def step(self) -> list:
        request_id = list(self.requests)[-1]
        ids, parameters = self.requests.pop(request_id)
        outputs = []
        for number in range(parameters["n"]):
            tokens = [ids[-1], 5 + number, *([0] if number else [])]  # 0 ends a completion
            logprobs = [{token: SimpleNamespace(logprob=-token / 10)} for token in tokens]
            outputs.append(SimpleNamespace(token_ids=tokens, logprobs=logprobs))
        return [SimpleNamespace(request_id=request_id, finished=True, outputs=outputs)]

    def abort_request(self, request_ids) -> None:
        self.said.append(f"abort {','.join(request_ids)}")
        for request_id in request_ids:
            self.requests.pop(request_id)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> FakeLlm:
    module, parameters = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    module.SamplingParams = lambda **settings: settings  # type: ignore[attr-defined]
    parameters.RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    return FakeLlm()


def sampler(llm: FakeLlm) -> VllmSampler:
    def load_lora(name: str, *, load_tensors: bool) -> str:
        assert load_tensors
        return "adapter"

    model = SimpleNamespace(vllm_engine=llm, load_lora=load_lora)
    return VllmSampler(FakePolicy(table()), Vllm(model), rollout_section(0.7, 8, stop=("x",)), seed=3)


def test_groups_in_the_order_of_their_prompts_with_behaviour_logprobs(llm: FakeLlm) -> None:
    seen: list[tuple[int, int]] = []
    prompts = [prompt(1, (1, 2)), prompt(2, (3,))]
    rollout = sampler(llm).rollout(prompts, 2, 9, progress=lambda done, total: seen.append((done, total)))
    assert [group.prompt for group in rollout.groups] == prompts
    first, second = rollout.groups[0].completions
    assert (first.ids, first.logprobs, first.finish_reason) == ((2, 5), (-0.2, -0.5), "length")
    assert (second.ids, second.finish_reason) == ((2, 6, 0), "stop")
    assert rollout.decoded_tokens == 10
    assert seen == [(2, 4), (4, 4)]
    assert llm.said == ["wake_up", "abort ", "sleep 1"]


def test_what_is_known_is_not_told_again_and_a_prompt_that_lacks_nothing_is_not_asked(llm: FakeLlm) -> None:
    prompts, told = [prompt(1, (1,)), prompt(2, (2,)), prompt(3, (3,))], []
    known = {(0, 0), (0, 1), (2, 0)}
    tokens = sampler(llm).complete(
        prompts, 2, 0, known=known, finished=lambda place, one: told.append((place, one.ids))
    )
    assert told == [((1, 0), (2, 5)), ((1, 1), (2, 6, 0)), ((2, 1), (3, 6, 0))]
    assert tokens == 10, "both completions of each prompt that was asked"


def test_a_deadline_drops_what_is_not_finished(llm: FakeLlm) -> None:
    asked = iter([False, True])
    rollout = sampler(llm).rollout([prompt(1), prompt(2)], 2, 1, out_of_time=lambda: next(asked))
    assert [group.prompt.problem.index for group in rollout.groups] == [2]
    assert llm.said == ["wake_up", "abort 0", "sleep 1"]


def test_no_more_tokens_than_there_may_be(llm: FakeLlm) -> None:
    rollout = sampler(llm).rollout([prompt(1), prompt(2)], 2, 1, max_tokens=5)
    assert [group.prompt.problem.index for group in rollout.groups] == [2], "4 in the first step, 2 in the next"
    assert sampler(FakeLlm()).rollout([prompt(1)], 2, 1, max_tokens=1).groups == ()


def test_what_is_asked_of_vllm(llm: FakeLlm) -> None:
    asked: list[dict] = []
    llm.step = lambda: asked.extend(parameters for _, parameters in llm.requests.values()) or FakeLlm.step(llm)
    sampler(llm).rollout([prompt(4)], 2, 1)
    assert asked[0] == {
        "n": 2, "temperature": 0.7, "max_tokens": 8, "seed": request_seed(3, 1, 4), "logprobs": 0,
        "stop_token_ids": [0], "stop": ["x"], "include_stop_str_in_output": True, "output_kind": "final",
    }  # fmt: skip


def test_seeds_differ_by_step_and_problem() -> None:
    assert len({request_seed(1, step, problem) for step in range(20) for problem in range(20)}) == 400
    assert request_seed(1, 2, 3) == request_seed(1, 2, 3) != request_seed(2, 2, 3)
