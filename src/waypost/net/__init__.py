"""What may be done on the network at the word of somebody we don't trust."""
