"""The requests of the API: their table, how they are read, and the answers of those without a room of their own."""
