// Stands where Node looks for its program; it is never read. See start.c.
