"""The rules of the gateway, each readable on one page."""
