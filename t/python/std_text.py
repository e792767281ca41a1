import difflib
import re
import string
import textwrap
import unicodedata
print(re.findall(r"(\w+)@(\w+)", "a@b é@ü"), re.sub("(?i)X+", lambda m: str(len(m[0])), "axxXb"), unicodedata.normalize("NFD", "é").encode())
print(textwrap.fill("word " * 20, 30), string.Template("$a-${b}").substitute(a=1, b=2), f"{3.14159:>10.2f}|{'x':^5}|{1000000:,}")
print("\n".join(difflib.unified_diff(["a", "b"], ["a", "c"], lineterm="")), "ß".upper(), "İ".lower(), "ǆ".title())
re.compile("(")
