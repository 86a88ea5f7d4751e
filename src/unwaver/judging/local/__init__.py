"""Readers without a model: the same text always has the same verdict."""
