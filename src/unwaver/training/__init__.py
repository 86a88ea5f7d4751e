"""Supervised fine-tuning that provably trains on the reasoning: encoding, batches, the trainer, several processes.

`torch`, `transformers`, `trl` and `peft` are imported by `trainer`, `attention` and `merge` alone, and these only by
functions: `encode`, `batches` and `memory` need none of them.
"""
