help(abs)
