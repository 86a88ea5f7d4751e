"""What is done, one file each. A stage reads what its inputs left on disk and leaves its own.

`prompts`, `distil`, `judge`, `mix`, `overlap`, `train` and `evaluate` have `run(step, recipe, place) -> manifest`; the
caller has seen to it that the inputs are finished and that the step itself is not. They take no more from one another
than the names of files.

They share `calls` (asking models) and `dialogues` (several calls for one result). The verbs
`check`, `audit` and `export` have no step of their own.
"""
