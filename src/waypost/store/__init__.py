"""The journal: what the gateway intended with each message, and what became of it."""
