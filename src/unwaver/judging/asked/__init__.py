"""Readers that ask a model: any chat model through a rubric, a guard in its own published format."""
