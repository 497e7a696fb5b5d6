"""What the customers' programs say: requests, signatures, answers. Pure."""
