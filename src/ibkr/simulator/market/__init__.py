"""What is traded, when, and at which price."""
