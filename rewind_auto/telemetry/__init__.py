"""One OpenTelemetry span per LLM call, with the names of the GenAI conventions and our own ``rewind.*``.

Beside it metrics, and on request events.

Nothing here imports OpenTelemetry until somebody listens: a provider that the program set, or an
exporter that the environment asks for.
"""
