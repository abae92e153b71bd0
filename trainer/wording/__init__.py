"""What a run says at its start and at its end, on the terminal and on its page."""
