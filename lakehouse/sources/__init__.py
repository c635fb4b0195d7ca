"""What an input file is: found, unpacked, recognised and identified by its content."""
