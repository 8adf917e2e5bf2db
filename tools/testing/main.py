"""Entry of every lane_test."""

from tools.testing.runner import main

if __name__ == "__main__":
    main()
