"""What is known elsewhere of the rows is asked for, stored, and found again."""
