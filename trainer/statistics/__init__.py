"""Statistics of what is there: draws of rows with replacement, and intervals from them.

Arrays and callables in, numbers out: no spec, no file, no device.
"""
