"""What a policy does to the values of each PHI class."""
