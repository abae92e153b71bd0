"""Many stacks: which columns go where, when trials are judged, which one is chosen.

build      specs and rows to a stack     columns    of every trial, into stacks
planned    what a stack is to be         jobs       one a stack, built when its turn comes
fit_memory stacks that fit, and threads
scheduler  trains and judges them        stopping   early stopping, halving
threads    side by side on cores         results    trials with results
trial_result  of one trial, with means   select     ranks and the choice
refit      models of the chosen trials
sweep      a whole run, before and while it trains
"""
