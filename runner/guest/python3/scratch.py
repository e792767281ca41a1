"""Files that packages make at their import, in a zygote whose file system is read-only.

They exist in memory only. The recorder (shelf.py) has them made in the run when the module is put back. matplotlib makes
directories for its configuration, and a list of the fonts.
"""
import builtins
import errno
import io
import os
import stat

PLACES = ("/box", "/tmp")  # what a program can write to
PACKAGES = {"matplotlib"}  # these make files


class File(io.BytesIO):
    """An open file, which is kept when it is closed."""

    def __init__(self, files, path, content):
        super().__init__(content)
        self.files, self.path = files, path

    def close(self):
        if not self.closed and self.files is not None:
            self.files[self.path] = self.getvalue()
        super().close()


class Scratch:
    """A file system in memory, in place of PLACES."""

    def __init__(self, replace):
        self.directories = list(PLACES)
        self.files = {}
        self.absent = set()  # paths that were looked for in vain
        self.replace = replace
        self.original = {}

    def begin(self):
        """From now on the functions that these packages call find the files."""
        for name in ("access", "listdir", "mkdir", "scandir", "stat", "unlink"):
            self.original[name] = getattr(os, name)
            self.replace(os, name, getattr(self, name))
        self.original["open"] = io.open
        self.replace(io, "open", self.open)
        self.replace(builtins, "open", self.open)

    def place(self, path):
        """The absolute path, as text, if it is in one of PLACES; else None."""
        if path is None or isinstance(path, int):
            return None
        path = os.path.join(PLACES[0], os.fsdecode(path))
        return path.rstrip("/") if path.startswith(tuple(place + "/" for place in PLACES)) else None

    def has(self, path):
        return path in self.directories or path in self.files

    def looked_for(self, path):
        if path is not None and not self.has(path):
            self.absent.add(path)

    @staticmethod
    def fail(number, path):
        raise OSError(number, os.strerror(number), path)

    # -- the functions of os

    def access(self, path, mode, **options):
        place = self.place(path)
        self.looked_for(place)
        return True if self.has(place) else self.original["access"](path, mode, **options)

    def mkdir(self, path, mode=0o777, **options):
        place = self.place(path)
        if place is None:
            return self.original["mkdir"](path, mode, **options)
        if self.has(place):
            self.fail(errno.EEXIST, path)
        if os.path.dirname(place) not in self.directories:
            self.fail(errno.ENOENT, path)
        self.directories.append(place)
        return None

    def stat(self, path, **options):
        place = self.place(path)
        self.looked_for(place)
        if not self.has(place):
            return self.original["stat"](path, **options)
        content = self.files.get(place)
        kind = stat.S_IFDIR | 0o755 if content is None else stat.S_IFREG | 0o644
        return os.stat_result((kind, 1, 1, 1, os.getuid(), os.getgid(), len(content or b""), 0, 0, 0))

    def unlink(self, path, **options):
        if self.files.pop(self.place(path), None) is None:
            self.original["unlink"](path, **options)

    def listdir(self, path="."):
        self.looked_for(self.place(path))
        return self.original["listdir"](path)

    def scandir(self, path="."):
        self.looked_for(self.place(path))
        return self.original["scandir"](path)

    def open(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **options):
        place = self.place(file)
        self.looked_for(place)
        makes = not set(mode).isdisjoint("wax")
        if place is None or not (makes or place in self.files):
            return self.original["open"](file, mode, buffering, encoding, errors, newline, **options)
        if "x" in mode and self.has(place):
            self.fail(errno.EEXIST, file)
        if os.path.dirname(place) not in self.directories:
            self.fail(errno.ENOENT, file)
        writes = makes or "+" in mode
        content = File(self.files if writes else None, place, b"" if "w" in mode else self.files.get(place, b""))
        if "a" in mode:
            content.seek(0, io.SEEK_END)
        return content if "b" in mode else io.TextIOWrapper(content, encoding or "utf-8", errors, newline)

    # -- for the recorder

    def state(self):
        return len(self.directories), dict(self.files)

    def made_since(self, state):
        """What is new: an effect that makes it, or None."""
        directories = self.directories[state[0] :]
        files = {path: content for path, content in self.files.items() if state[1].get(path) != content}
        if not directories and not files:
            return None

        def effect():
            for path in directories:
                try:
                    os.mkdir(path)
                except FileExistsError:
                    pass
            for path, content in files.items():
                with open(path, "wb") as file:
                    file.write(content)

        return effect
