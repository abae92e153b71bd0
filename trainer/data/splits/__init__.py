"""Splits: row numbers for training, validation and test; fractions, folds, few-shot draws."""
