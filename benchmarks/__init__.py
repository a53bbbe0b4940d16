"""Benchmarks of wilk against its baselines; ``python -m benchmarks --help``, docs/performance.md."""
