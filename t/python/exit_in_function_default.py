quit(12)
