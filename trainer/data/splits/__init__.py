"""Which rows train, validate and test: fractions, folds, few-shot draws."""
