"""Charts as plain data, and the numbers behind them."""
