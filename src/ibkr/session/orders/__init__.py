"""Orders: whether an order may be sent, its result, and what happened to all orders during an outage."""
