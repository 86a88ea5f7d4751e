"""Readers of replies with a right answer: maths by symbolic equality, code by its tests in a sandbox."""
