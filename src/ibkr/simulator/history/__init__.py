"""The past of an instrument, and the requests for it."""
