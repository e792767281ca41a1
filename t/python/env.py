import os
print(sorted(os.environ))
print(os.environ["HOME"] == os.path.expanduser("~"), os.environ["LANG"])
print(os.environ.get("PYTHONPATH"), os.environ.get("LD_PRELOAD"), os.environ.get("PYTHONHASHSEED"))
os.environ["NEW"] = "x"
print(os.getenv("NEW"))
