"""HTTP in: routes, limits and the one error boundary."""
