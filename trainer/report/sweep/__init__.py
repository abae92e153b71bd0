"""The parts of a page that only a sweep has."""
