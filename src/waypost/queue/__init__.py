"""The doorbell: tells that there is committed work; it may lose a ring, for a sweep finds what it lost (D1)."""
