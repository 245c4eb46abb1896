"""Completions from a policy: in groups, one token at a time, as a conversation, and by vLLM."""
