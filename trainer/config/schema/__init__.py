"""The keys of a spec and what each takes: types, bounds, defaults, descriptions."""
