"""What is wrong with a spec, and what would be right."""
