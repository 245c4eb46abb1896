"""Programs that judge answers in processes of their own, as they may hang: math-verify, reasoning-gym's verifiers."""
