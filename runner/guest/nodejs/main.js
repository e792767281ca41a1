// Node looks for its program here. It never reads this file; see start.c.
