"""What `scripts/benchmark` runs: the contestants, each a process of its own, and what measures them."""
