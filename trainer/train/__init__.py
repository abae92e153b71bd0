"""One stack of columns: its rows in chunks, its step, its log, its evaluations, its outcomes.

protocol    what any stack can do            stack       steps of a first-order optimizer
state       what changes from step to step   buffers     arrays that a step writes into
batches     the rows of a step               device_rows rows on a device, for many stacks
step_record what a step logs                 evaluate    metrics on held rows
training    from pause to pause              outcomes    how columns end
stretch     what it did in between           saved       what it has learned, to go on from
measure     what an evaluation reads         part        some columns' own record
"""
