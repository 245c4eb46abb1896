"""A run on disk: events, metrics, samples, checkpoints, summary."""
