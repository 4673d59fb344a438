"""The client libraries, and nobody else's business: the only importer of either. Held objects live here."""
