"""What the gateway can be put through, in one registry."""
