"""The operation counts of print: the numbers, the rules that judge them, and the tables of verdicts."""
