"""One file per pool; what the pools share is in `pool`."""
