"""Our endpoints against what a Wagtail site would otherwise use, side by side in one run: `make bench`."""
