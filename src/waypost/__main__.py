"""Makes `python -m waypost` the same as `waypost`."""

from waypost.cli import main

if __name__ == "__main__":
    main()
