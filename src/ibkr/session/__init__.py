"""The client library, and nobody else's business: the only importer of ib_async. Held objects live here."""
