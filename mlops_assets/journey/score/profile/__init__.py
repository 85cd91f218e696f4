"""The profile of a day: whole numbers that tell how its columns and answers are spread, and can be added up."""
