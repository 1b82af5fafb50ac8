"""What is claimed about speed, each measured by one command; results with machine and versions are in the docs."""
