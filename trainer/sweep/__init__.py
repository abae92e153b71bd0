"""Many stacks: which columns go where, when trials are judged, which one is chosen."""
