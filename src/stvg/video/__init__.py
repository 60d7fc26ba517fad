"""Reading frames by time, writing videos, drawing results on them."""
