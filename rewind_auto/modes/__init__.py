"""What is done with a call, one module a mode; `run` is the session that the calls belong to."""
