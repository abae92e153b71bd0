"""A fitted model, and its predictions as tables."""
