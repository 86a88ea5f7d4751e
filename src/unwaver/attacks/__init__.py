"""Attacks on one's own model: Prompt -> Prompt, so that a defence is measured against more than the bare request.

`none`, `templates` and `prefill` change a prompt at once. `pap` and `pair` need an attacker model; they say what to ask
and read what came back, and a stage drives the engine. Pure but for the reading of a file the user named and of the
shipped instructions. docs/attacks.md sets each beside its paper.
"""
