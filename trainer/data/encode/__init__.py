"""Raw columns to the matrix a model sees; targets."""
