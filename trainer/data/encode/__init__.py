"""Encoding: raw columns to the matrix a model sees, raw targets to numbers or codes."""
