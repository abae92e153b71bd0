"""Linear, logistic and softmax regression, many models at once."""

__version__ = "0.1.0"
