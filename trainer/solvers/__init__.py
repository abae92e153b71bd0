"""To the optimum: a stack of columns, each at its own pace, with a bound on what is left.

problem      J's penalties and slopes in a basis   objective     J's data term, and its biases'
passes       over the rows, in float64             slopes        what a round decides on
basis        principal axes of the features        rotated_rows  rows in them, for all stacks
basis_in_place  the same by a sample of the rows   compiled_lbfgs  the recursion's twin
solver       the stack: rounds                     progress      what it keeps of each column
directions   L-BFGS, Newton, closed form           lbfgs         the two-loop recursion
line_search  Armijo's rule, column by column       trial_points  J and slopes at what it tries
orthants     OWL-QN; softmax's gauge freedom       kernel_rounds a round's CUDA kernels
prox_newton  directions with l1                    active_set    feature-sign search
lasso_path   homotopy (LARS)                       hessians      second derivatives
linear_systems  many at once
compiled_sparse  both in C, by coordinate descent, where it is compiled
certificates bounds of J − J*                      duality_gap   their formulas
tf32_passes  passes in TF32                        tf32_rounds   when a column's rounds are in it
outcomes     how a column ends                     choose        which method suits
costs        bytes and operations, before any is made
"""
