"""The verbs, one file each. A stage reads what its inputs left on disk and leaves its own; none imports another.

Each has `run(step, recipe, place) -> manifest`; the caller has seen to it that the inputs are finished and that the
step itself is not.
"""
