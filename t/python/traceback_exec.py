# Code that has no file has no source lines.
exec(compile("def g():\n    raise ValueError('made')\n", "<made>", "exec"))
g()
