"""Who the LLM providers are, and how to read what goes over the wire to them.

``hosts`` is loaded by import hooks inside other people's programs, so nothing is imported here.
"""
