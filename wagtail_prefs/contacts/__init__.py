"""Today's state of every contact, and the rules by which changes alter it."""
