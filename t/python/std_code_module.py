import code
import io
import contextlib
err = io.StringIO()
with contextlib.redirect_stderr(err):
    code.InteractiveInterpreter().runsource("1/0")
    code.InteractiveInterpreter().runsource("1 +* 2")
print(err.getvalue())
