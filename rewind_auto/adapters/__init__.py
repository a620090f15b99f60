"""Adapters: one a client library, each with a single seam."""
