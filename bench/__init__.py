"""Measures the gateway beside two smaller servers in the same run: `python -m bench`, or `make bench`."""
