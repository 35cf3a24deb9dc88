"""How well a student labels recordings, in numbers and in pictures."""
