"""The broker behind the gateway: orders, executions, positions. Pure, without a clock."""
