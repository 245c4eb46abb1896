"""The loop and its parts: a step's groups, its update, its learning rate, and who looks at it."""
