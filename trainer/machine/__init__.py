"""What the machine gives this process, on Linux, macOS and Windows.

groups     limits of control groups      memory     bytes there are, and held so far
cores      processors it may use         threads    of the matrix library, and of our own
"""
