"""The small broker behind the gateway: orders, their executions, and the book they leave. Pure, without a clock."""
