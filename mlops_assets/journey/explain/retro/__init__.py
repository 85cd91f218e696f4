"""After a change of the champion: past days are scored again, or put back."""
