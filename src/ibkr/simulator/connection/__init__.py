"""One connection: the port it comes in by, hello, what is read from it, and the way out."""
