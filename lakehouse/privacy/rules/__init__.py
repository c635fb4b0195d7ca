"""Profiles and their actions on the values of each PHI class."""
