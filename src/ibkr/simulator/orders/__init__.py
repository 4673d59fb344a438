"""Where the broker meets the gateway's clients, and where a test's hand meets the broker."""
