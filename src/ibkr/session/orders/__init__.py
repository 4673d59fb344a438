"""Orders: who may send one, what became of those that were sent, and what happened to them during an outage."""
