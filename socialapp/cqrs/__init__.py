"""The kernel: commands in, events out, reads that never go backwards. It knows nothing of any domain."""
