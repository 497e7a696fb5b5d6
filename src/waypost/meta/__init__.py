"""What Meta says: bodies, answers, webhooks, error codes."""
