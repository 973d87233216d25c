"""What each file of a run was made from, and whether two runs gave the same."""
