"""Supervised fine-tuning that provably trains on the reasoning: encoding, batches, the trainer, several processes.

`torch`, `transformers`, `trl` and `peft` are imported by `settings`, `attention`, `trainer`, `fit` and `merge` alone,
which are themselves imported inside functions; `encode`, `batches` and `memory` need none of them.
"""
