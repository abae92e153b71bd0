"""Ten minutes of a GPU, most valuable first: is it right, how fast, beside whom.

command  arguments, the order of the parts    runner  a part in a process of its own, with a limit
parts    what there is to do, a row a part    child   that process
records  the file of results, a line each     bench   what a part is given: a device, a clock, a log
page     the results as Markdown              wheels  packages that a machine without network needs

Nothing outside `bench` and the parts themselves imports more than Python's own library, so that a
machine on which packages are missing can say so.
"""
