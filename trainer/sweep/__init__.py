"""Many stacks: which columns go where, when trials are judged, which one is chosen.

layout   columns into stacks     memory   stacks that fit, and threads
crew     stacks as members       clock    trains them, evaluation by evaluation
rungs    who stops early         workers  side by side on cores
outcome  trials with results     select   ranks and the choice
model    chosen trials' models   sweep    a whole run, before and while it trains
"""
