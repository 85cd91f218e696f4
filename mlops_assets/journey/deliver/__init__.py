"""Published predictions are brought to where they are wanted."""
