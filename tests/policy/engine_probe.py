"""Child process: what one engine makes of a model, for tests that compare the two.

Usage:
    python engine_probe.py ENGINE MODEL OUT_FOLDER TOKENS

Greedy groups of 32 prompts of mixed lengths, with rows that leave and others that enter; log-probs, entropies and
gradients of some of them; the adapter as it is saved. Both engines start from one adapter, which a generator of its
own draws. Must be run alone: Unsloth patches its whole process.
"""

import json
import sys
from pathlib import Path

from tina_lite.policy.engine import choose_engine, enter, find_facts

PROMPTS, GENERATIONS, TRAINED = 32, 4, 6
LONGEST_PROMPT = 96


def main() -> None:
    name, model, out, tokens = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    enter(choose_engine(name, find_facts(), lambda: "llama"), local=True)

    import torch
    from safetensors.torch import save_file

    from tina_lite.data import make_prompt
    from tina_lite.policy import TokenBatch
    from tina_lite.policy.load import open_policy
    from tina_lite.policy.memory_request import MemoryRequest
    from tina_lite.policy.pretrained import load_tokenizer
    from tina_lite.recipe.schema import LoraSection, ModelSection, RolloutSection
    from tina_lite.rollout.sampler import Sampler
    from tina_lite.util.records import Problem

    rollout = RolloutSection(max_prompt_length=LONGEST_PROMPT, max_completion_length=tokens)
    tokenizer = load_tokenizer(model)
    section, lora = ModelSection(id=model, compute_dtype="float32"), LoraSection(r=8, alpha=32, dropout=0.0)
    memory_request = MemoryRequest.sampling(section, lora, sequences=8, prompt=LONGEST_PROMPT, completion=tokens)
    policy = open_policy(name, section, lora, rollout, tokenizer, seed=1, memory_request=memory_request)  # type: ignore[arg-type]
    drawn = {name: tensor.detach().float().norm().item() for name, tensor in policy.trainable().items()}
    generator = torch.Generator().manual_seed(5)
    for _, tensor in sorted(policy.trainable().items()):
        values = torch.randn(tensor.shape, generator=generator) * 0.02
        tensor.data.copy_(values.to(torch.bfloat16))  # both engines hold these exactly
    policy.sync()

    # Rows of one model end early and late once a common token ends them.
    policy.stop_ids = policy.stop_ids | {tokenizer.encode(text, add_special_tokens=False)[-1] for text in ("\n", ".")}
    questions = [" and ".join(f"{n + k}+{7 * n % 50}" for k in range(1 + n % 5)) for n in range(PROMPTS)]
    prompts = [make_prompt(Problem(n, f"What is {q}?", "0", {}), tokenizer, None) for n, q in enumerate(questions)]
    longest = max(len(prompt.ids) for prompt in prompts)
    assert longest <= LONGEST_PROMPT
    sampler = Sampler(
        policy, rollout.model_copy(update={"temperature": 0.0}), seed=1, kv_tokens=20 * (longest + tokens)
    )
    groups = sampler.rollout(prompts, GENERATIONS, 1).groups
    completions = [[list(c.ids) for c in group.completions] for group in groups]

    batch = TokenBatch(
        tuple(group.prompt.ids for group in groups[:TRAINED]),
        tuple(tuple(c.ids for c in group.completions[: 1 + n % 2]) for n, group in enumerate(groups[:TRAINED])),
    )
    with policy.training():
        logprobs, entropies = policy.logprobs(batch, 0.8)
    (logprobs * torch.linspace(-1, 1, logprobs.numel(), device=policy.device).view(logprobs.shape)).sum().backward()
    tensors = {f"gradient.{name}": tensor.grad.float() for name, tensor in policy.trainable().items()}
    with torch.no_grad():
        tensors["reference"], _ = policy.logprobs(batch, 0.8, adapter=False)
    tensors |= {"logprobs": logprobs.detach(), "entropies": entropies.detach()}
    again = sampler.rollout(prompts, GENERATIONS, 1).groups

    policy.save_adapter(out / "adapter")
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, out / "tensors.safetensors")
    facts = {
        "completions": completions,
        "after_training": [[list(c.ids) for c in group.completions] for group in again],
        "lengths": sorted({len(prompt.ids) for prompt in prompts}),
        "drawn": drawn,
        "dtypes": sorted({str(tensor.dtype) for tensor in policy.trainable().values()}),
        "modules": sorted({"unsloth", "transformers"} & sys.modules.keys()),
    }
    (out / "facts.json").write_text(json.dumps(facts))
    print("done")


if __name__ == "__main__":
    main()
