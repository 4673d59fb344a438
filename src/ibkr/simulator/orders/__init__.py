"""Orders between the gateway's clients and the broker, and actions of tests on orders."""
