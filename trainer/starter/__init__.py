"""Configs to begin with: a file that runs as it is, and the schema that editors read beside it."""

from trainer.starter.write import KINDS, SCHEMA, write_starter

__all__ = ["KINDS", "SCHEMA", "write_starter"]
