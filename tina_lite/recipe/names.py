"""How other trainers name things: TRL and open-r1, Axolotl; and what of theirs has no place in a recipe."""

from typing import Any

COPIED = {
    "model_name_or_path": "model.id",
    "seed": "seed",
    "lora_r": "lora.r",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "dataset_name": "data.source",
    "dataset_config": "data.config",
    "dataset_config_name": "data.config",
    "dataset_train_split": "data.split",
    "dataset_prompt_column": "data.prompt",
    "system_prompt": "data.system_prompt",
    "num_generations": "rollout.num_generations",
    "max_prompt_length": "rollout.max_prompt_length",
    "max_completion_length": "rollout.max_completion_length",
    "temperature": "rollout.temperature",
    "top_p": "rollout.top_p",
    "min_p": "rollout.min_p",
    "loss_type": "grpo.loss_type",
    "epsilon": "grpo.epsilon",
    "epsilon_high": "grpo.epsilon_high",
    "delta": "grpo.delta",
    "beta": "grpo.beta",
    "num_iterations": "grpo.num_iterations",
    "mask_truncated_completions": "grpo.mask_truncated_completions",
    "learning_rate": "optim.learning_rate",
    "warmup_ratio": "optim.warmup_ratio",
    "max_grad_norm": "optim.max_grad_norm",
    "adam_beta1": "optim.adam_beta1",
    "adam_beta2": "optim.adam_beta2",
    "weight_decay": "optim.weight_decay",
    "save_steps": "checkpoint.every_steps",
    "save_total_limit": "checkpoint.keep",
}
"""TRL's name -> ours."""
TRL_DEFAULTS: dict[str, Any] = {
    "seed": 42,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "num_generations": 8,
    "max_completion_length": 512,
    "temperature": 1.0,
    "loss_type": "dapo",
    "beta": 0.0,
    "learning_rate": 1e-6,
    "warmup_ratio": 0.0,
    "lr_scheduler_type": "linear",
}
"""Of TRL 1.15, where they are not ours."""
TRL_EPSILON = 0.2
AXOLOTL_NAMES = {
    "base_model": "model_name_or_path",
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": "num_train_epochs",
    "lr_scheduler": "lr_scheduler_type",
    "cosine_min_lr_ratio": "min_lr_rate",
    "saves_per_epoch": "save_strategy",
}
TINA_NAMES = {
    "rl_post_train_reward_funcs": "reward_funcs",
    "rl_post_train_reward_weights": "reward_weights",
    "model_post_train_dataset_name": "dataset_name",
    "model_post_train_dataset_config": "dataset_config",
}
TINA_DATA = {
    "curated_deepscaler": ("agentica-org/DeepScaleR-Preview-Dataset", None),
    "curated_limr": ("GAIR/LIMR", None),
    "curated_open_r1": ("open-r1/OpenR1-Math-220k", "default"),
    "curated_open_rs1": ("knoveleng/open-s1", None),
    "curated_open_rs2": ("knoveleng/open-rs", None),
    "curated_open_rs3": ("knoveleng/open-rs", None),
    "curated_still": ("RUC-AIBOX/STILL-3-Preview-RL-Data", None),
    "curated_thoughts": ("bethgelab/CuratedThoughts", "OpenThoughts-114k-math-default"),
}
"""The names of Tina's own files (recipes/ of its repository) -> data set of the hub and its config."""
TINA_MODELS = {"DeepSeek-R1-Distill-Qwen-1.5B": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}
"""Which it loads from a folder of that name."""
REWARDS = {
    "accuracy_reward": "accuracy",
    "think_format_reward": "format",
    "soft_overlong_punishment": "soft_overlong",
    "get_soft_overlong_punishment": "soft_overlong",
    **{
        name: name
        for name in ("accuracy", "format", "tag_count", "reasoning_steps", "length", "cosine", "repetition_penalty")
    },
}
"""Of TRL and open-r1 -> ours."""
REWARD_PARAMS = {
    "cosine": {
        "cosine_min_value_wrong": "wrong_long",
        "cosine_max_value_wrong": "wrong_short",
        "cosine_min_value_correct": "correct_long",
        "cosine_max_value_correct": "correct_short",
        "cosine_max_len": "max_length",
    },
    "repetition_penalty": {"repetition_n_grams": "ngram_size", "repetition_max_penalty": "max_penalty"},
    "soft_overlong": {"max_completion_len": "max_length", "soft_punish_cache": "soft_punish_cache"},
}
WITHOUT_PLACE = {
    "the run computes in what the machine is fast in": "bf16 fp16 torch_dtype dtype tf32 model_revision",
    "memory and kernels are laid out by tina-lite": "gradient_checkpointing gradient_checkpointing_kwargs optim "
    "optimizer attn_implementation flash_attention sample_packing use_liger_kernel use_liger_loss",
    "it samples with its own engine": "use_vllm vllm",
    "see the --out option": "output_dir overwrite_output_dir run_name save_strategy",
    "a run ends by steps, hours or dollars: set stop.max_steps": "num_train_epochs",
    "see eval.benchmarks and eval.every": "do_eval eval_strategy eval_steps per_device_eval_batch_size",
    "see rollout.max_prompt_length and rollout.max_completion_length": "max_length sequence_len",
    "the model's own is used": "chat_template special_tokens",
    "no code that comes with a model is run": "trust_remote_code",
}
"""Reason -> names."""
PREFIXES = {
    "vllm_": "it samples with its own engine",
    "hub_": "see tina-lite export",
    "push_to_hub": "see tina-lite export",
    "log": "every step is kept in metrics.jsonl",
    "wandb_": "see track",
    "trackio_": "see track",
    "ddp_": "there is one card",
    "fsdp": "there is one card",
    "deepspeed": "there is one card",
}
TRACKERS = ("tensorboard", "wandb", "trackio")
