import sys
print("äöü €uro 日本語 😀 \u200b\ufeff \x7f \x85 \u2028")
print("to stderr äöü €uro 日本語 😀", file=sys.stderr)
print(ascii("😀"), repr("\x00\x1f"), len("😀"), "\N{SNOWMAN}")
