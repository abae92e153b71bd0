"""How weights move: schedules and first-order optimizers. Knows arrays and numbers, no model."""
