"""YAML to plain values with their positions, and back."""
