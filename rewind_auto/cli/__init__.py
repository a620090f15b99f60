"""The two commands, ``rewind-run`` and ``rewind-auto``."""
