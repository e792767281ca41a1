import sys
sys.stdout.reconfigure(encoding="latin-1", errors="replace", newline="\r\n")
print("é€")
sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
print("é€")
