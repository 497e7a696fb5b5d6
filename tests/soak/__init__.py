"""The long runs behind `make soak`: kills at random moments under traffic, and many more cases of each property."""
