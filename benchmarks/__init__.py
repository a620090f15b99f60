"""What the agent costs, measured against the same program without it. Run ``python -m benchmarks``."""
