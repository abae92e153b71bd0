"""What stands behind a swept key: axes, rows of settings, trials."""
