"""How the agent gets into a process, and how a command is started with it."""
