"""unwaver: make large reasoning models safer by supervised fine-tuning, and prove whether it worked."""

__version__ = "0.1.0"
