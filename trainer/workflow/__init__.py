"""One spec carried out, from rows to a run folder."""
