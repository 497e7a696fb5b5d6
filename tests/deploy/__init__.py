"""Checks of what Waypost is deployed with: image, compose file, manifests, units, dashboard, alert rules."""
