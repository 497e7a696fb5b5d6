"""A self-hosted WhatsApp message gateway, wire-compatible with NxCloud's HTTP API."""
