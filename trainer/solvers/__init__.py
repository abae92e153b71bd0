"""To the optimum: a stack of columns, each at its own pace, with a bound on what is left."""
