import os
import pathlib
print(os.getcwd(), pathlib.Path.cwd(), os.path.abspath("x"), pathlib.Path(__file__).parent)
open("made.txt", "w").write("here")
print(open("made.txt").read(), os.path.exists("/nowhere"))
