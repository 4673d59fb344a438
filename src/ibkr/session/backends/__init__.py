"""What differs between the client libraries, one small file for each; ``session.backend`` chooses."""
