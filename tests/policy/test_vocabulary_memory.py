"""Peak memory does not grow with the vocabulary: no tensor of rows x tokens x vocabulary is ever held."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

STEP = """
import resource, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from tina_lite.policy import TokenBatch
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.policy.native import NativePolicy
from tina_lite.recipe.schema import LoraSection, ModelSection

torch.manual_seed(0)
folder, vocabulary = sys.argv[1], int(sys.argv[2])
sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
config = AutoConfig.for_model("llama", vocab_size=vocabulary, tie_word_embeddings=True, **sizes)
AutoModelForCausalLM.from_config(config).save_pretrained(folder)
policy = NativePolicy(ModelSection(id=folder, compute_dtype="float32"),
                        LoraSection(r=4, alpha=8, dropout=0.0, target_modules=("q_proj", "down_proj")),
                        load_tokenizer("builtin:tiny"), seed=1)
completion = tuple(range(5, 69))
logprobs, _ = policy.logprobs(TokenBatch(((1, 2, 3),) * 4, ((completion,) * 16,) * 4), 1.0)
logprobs.sum().backward()
decoder = policy.decoder(64, 16)
decoder.admit(decoder.prefill([(1, 2, 3)]) * 64)
decoder.step(torch.ones(64, dtype=torch.int64))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_twice_the_vocabulary_adds_at_most_5_percent(tmp_path):
    """4096 completion tokens: logits whole would take 0.5 GB more, and as much again for their gradient."""

    def peak(vocabulary):
        command = [sys.executable, "-c", STEP, str(tmp_path / str(vocabulary)), str(vocabulary)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])

    assert peak(65_536) < 1.05 * peak(32_768)
