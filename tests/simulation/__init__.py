"""Whole jobs in ticks, from a seed: the pure core, the memory store, and everything that can go wrong."""
