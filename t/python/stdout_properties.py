import locale
import sys
for s in sys.stdout, sys.stderr:
    print(s.encoding, s.errors, s.name, s.mode, s.line_buffering, s.write_through, s.isatty(), s.fileno(), s.newlines, s.closed)
    print(type(s).__name__, type(s.buffer).__name__, type(s.buffer.raw).__name__, s.buffer.raw.closefd)
print(sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
print(locale.getlocale(), locale.getpreferredencoding(), locale.getencoding(), locale.setlocale(locale.LC_ALL))
