"""Imports the modules of a zygote, records what each of them imports, and puts them on the shelf (shelf.h).

The zygote's driver executes this file before it serves, and no program can import it.
"""
import _frozen_importlib as importlib
import builtins
import os
import sys

import _cellblock
import rehearsals
import scratch

NONE = object()  # an attribute is missing
FRESH = 1500  # modules that are made ahead
EXTENSION_LOADER = sys.modules["_frozen_importlib_external"].ExtensionFileLoader


def warn(text):
    _cellblock.warn(text.encode(errors="replace").replace(b"\0", b" ").decode())


# ---- what a module does at its import besides importing others --------------------------------------------------------


def renew_logging(logging):
    """LogRecord.relativeCreated counts from the import."""
    import time

    logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()


def renew_fonts(font_manager):
    """It has had a timer, while it made its list of fonts: a thread with a number."""
    sys.modules["threading"]._counter()


def renew_multiprocessing(multiprocessing):
    """The program has a second name, under which its classes are found."""
    sys.modules["__mp_main__"] = sys.modules["__main__"]


def renew_process(process):
    """The key by which processes of a program know each other is random."""
    config = process._current_process._config
    config["authkey"] = process.AuthenticationString(os.urandom(32))


def renew_random(random):
    random._inst.seed()


def renew_threading(threading):
    """The main thread remembers the number that the kernel gave to the zygote."""
    if hasattr(threading._main_thread, "_native_id"):
        threading._main_thread._native_id = threading.get_native_id()


def renew_time(time):
    """The run may have a zone of its own (TZ)."""
    time.tzset()


def renew_numpy(numpy_random):
    numpy_random.seed()


# State that a module gets from the clock or at random when it is imported, and that a fork would
# copy. Each function is called in the run, when the module is put back. OpenSSL is not here: its
# generators get their state when they are first used, which no import does.
RENEW = {
    "logging": renew_logging,
    "matplotlib.font_manager": renew_fonts,
    "multiprocessing": renew_multiprocessing,
    "multiprocessing.process": renew_process,
    "numpy.random.mtrand": renew_numpy,
    "random": renew_random,
    "threading": renew_threading,
    "time": renew_time,
}

# Other modules are told of the fork when they are put back, by what they gave os.register_at_fork.
# These are not. They make locks anew, which no thread holds when a zygote forks; `random` is in
# RENEW.
NEEDLESS_AFTER_FORK = {"concurrent.futures.thread", "logging", "random", "threading"}


def prepare_platform(platform):
    """Another module has asked for the name of the host, which is not the cell's."""
    platform._uname_cache = None


def prepare_threading(threading):
    """Imports have had threads, and a program counts its own."""
    first = 1 if sys.version_info >= (3, 10) else 0
    threading._counter = sys.modules["itertools"].count(first).__next__
    if first == 0:
        threading._counter()
    locks = getattr(threading, "_shutdown_locks", set())
    for lock in [lock for lock in locks if not lock.locked()]:
        locks.discard(lock)


def prepare_collections(collections):
    """Counter imports heapq when it is first needed (Python 3.14), which was in a rehearsal."""
    if hasattr(collections, "heapq"):
        collections.heapq = None


# Done once, in the zygote.
PREPARE = {"collections": prepare_collections, "platform": prepare_platform, "threading": prepare_threading}

# A module that sets variables of modules that every interpreter has: it gives them another name.
RENAMES = {"importlib": ("_frozen_importlib", "_frozen_importlib_external")}

# Dictionaries and lists into which other modules put entries at their import: a level of logging,
# the source of a function that was made from a text, a format of images. An entry is put back with
# the module that has made it.
TABLES = (
    ("copyreg", "dispatch_table"),
    ("linecache", "cache"),
    ("logging", "_levelToName"),
    ("logging", "_nameToLevel"),
    ("matplotlib._api.deprecation", "DECORATORS"),
    ("PIL.Image", "DECODERS"),
    ("PIL.Image", "ENCODERS"),
    ("PIL.Image", "EXTENSION"),
    ("PIL.Image", "ID"),
    ("PIL.Image", "MIME"),
    ("PIL.Image", "OPEN"),
    ("PIL.Image", "SAVE"),
    ("PIL.Image", "SAVE_ALL"),
    ("PIL.TiffTags", "TYPES"),
)


def never_shelved():
    """The modules that are always imported by the program itself, each with the reason."""
    with open("never_shelved.txt", encoding="utf-8") as lines:
        return dict(line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))


# ---- the recorder -----------------------------------------------------------------------------------------------------


def effect_on(items, is_first, added):
    """The effect that puts these into a list of warnings, of sys or of threading."""

    def effect():
        at = 0 if is_first else len(items)
        items[at:at] = added
        if "warnings" in sys.modules:
            sys.modules["warnings"]._filters_mutated()
        _cellblock.keep_finders()

    return effect

# Variables of mimetypes that it sets when it is first asked, which a module may do at its import.
MIMETYPES = ("inited", "_db", "common_types", "encodings_map", "suffix_map", "types_map")


def mimetypes_effect(mimetypes, values):
    """The effect that has mimetypes ready, unless the program has done so."""
    return lambda: None if mimetypes.inited else vars(mimetypes).update(values)


def renamed_effect(scope, before):
    """The effect that sets the variables of a module that are not as before. They get their earlier values."""
    after = {key: value for key, value in scope.items() if before.get(key, NONE) is not value}
    for key in after:
        del scope[key]
    scope.update(before)
    return lambda: scope.update(after)


def free_descriptor():
    """The lowest descriptor that is free."""
    descriptor = os.dup(2)
    os.close(descriptor)
    return descriptor


def entries_effect(table, added):
    """The effect that puts these entries into one of TABLES."""
    if isinstance(table, list):
        return lambda: table.extend(added)
    entries = {key: table[key] for key in added}
    return lambda: table.update(entries)


class Record:
    """What happened while the body of a module was executed."""

    def __init__(self):
        self.needs = {}  # names of modules that it imported, in order
        self.effects = []
        self.variables = {}  # of the environment, that it read, with their values
        self.absent = set()  # files that it looked for in vain
        self.bytes = 0  # that its body took, without those that it imported
        self.is_cold = False  # a program must execute it itself


class Recorder:
    """Watches imports. Everything that it replaces is put back at the end."""

    def __init__(self):
        self.base = list(sys.modules)
        self.known = set(self.base)
        self.size = len(self.base)
        self.records = {}
        self.running = []  # the modules whose bodies are being executed, the innermost last
        self.inner_bytes = 0  # that the imports of the running module took
        self.prior = {}  # submodule -> the attribute of its package before its import
        self.replaced = []  # (object, name, original, replacement)
        self.filters = []
        self.added = []  # finders of modules
        self.unimported = set()  # modules that C code has made without an import
        self.mimetypes = None  # the first values of MIMETYPES
        self.scratch = None  # from the first package on that makes files
        self.files = None  # its state when the running module began, or its last import ended
        self.tables = {}  # number of one of TABLES -> (it, its first entries, all known ones)

    def replace(self, owner, name, replacement):
        self.replaced.append((owner, name, getattr(owner, name), replacement))
        setattr(owner, name, replacement)

    # -- which module imports which

    def record(self):
        return self.records[self.running[-1]] if self.running else None

    def need(self, name):
        record = self.record()
        if record is not None and name in sys.modules and name != self.running[-1]:
            record.needs.setdefault(name)

    def claim(self):
        """A module can put others into sys.modules without an import, such as another name for itself."""
        if len(sys.modules) == self.size:
            return
        self.size = len(sys.modules)
        for name in list(sys.modules):
            if name not in self.known:
                self.known.add(name)
                if name not in self.records:
                    self.unimported.add(name)
                    self.need(name)

    def need_unimported(self, spec):
        """The modules by which Cython's modules share types are made by the first of them, and used by all."""
        if not self.unimported or type(spec.loader) is not EXTENSION_LOADER:
            return
        with open(spec.origin, "rb") as file:
            content = file.read()
        for name in sorted(self.unimported):
            if b"\0" + name.encode() + b"\0" in content:
                self.need(name)

    def note(self, name, fromlist):
        """`name` was imported by the running module, or a part of it was."""
        parent = ""
        for part in name.split("."):
            parent += part
            if name != parent:
                if parent not in sys.modules:
                    return
                self.need(parent)
            parent += "."
        self.need(name)
        # A look at a variable that is not there could call a function of the module (__getattr__).
        scope = getattr(sys.modules.get(name), "__dict__", {})
        if "__path__" not in scope:
            return
        for item in fromlist or ():
            for child in scope.get("__all__", ()) if item == "*" else (item,):
                full = f"{name}.{child}"
                if full in sys.modules and scope.get(child) is sys.modules[full]:
                    self.need(full)

    def watch_imports(self):
        import_, gcd_import, load = builtins.__import__, importlib._gcd_import, importlib._load_unlocked

        def watched_import(name, globals=None, locals=None, fromlist=(), level=0):
            self.claim()
            try:
                return import_(name, globals, locals, fromlist, level)
            finally:
                if self.running:
                    if level > 0:
                        name = importlib._resolve_name(name, importlib._calc___package__(globals), level)
                    self.note(name, fromlist)

        def watched_gcd_import(name, package=None, level=0):
            self.claim()
            try:
                return gcd_import(name, package, level)
            finally:
                if self.running:
                    self.note(importlib._resolve_name(name, package, level) if level > 0 else name, ())

        def watched_load(spec):
            return self.load(spec, load)

        # When a module is put back, its object is written to. They lie side by side, in few pages.
        fresh = [type(sys)("") for _ in range(FRESH)]

        def new_module(name):
            module = fresh.pop() if fresh else type(sys)("")
            module.__init__(name)
            return module

        self.replace(builtins, "__import__", watched_import)
        self.replace(importlib, "_gcd_import", watched_gcd_import)
        self.replace(importlib, "_load_unlocked", watched_load)
        self.replace(importlib, "_new_module", new_module)

    def load(self, spec, load):
        name = spec.name
        self.claim()
        self.note_entries()
        if self.running:
            self.note_files(self.record())
        record = self.records[name] = Record()
        before = self.state()
        renames = [(vars(sys.modules[other]), dict(vars(sys.modules[other]))) for other in RENAMES.get(name, ())]
        outer_bytes, self.inner_bytes = self.inner_bytes, 0
        start_bytes = _cellblock.weigh()
        first_free = free_descriptor()
        self.running.append(name)
        try:
            module = load(spec)
            self.need_unimported(spec)
        except BaseException:
            self.finish(record, before)
            self.inner_bytes += outer_bytes
            # The imports of a module that failed stay. The one that imported it may go on.
            del self.records[name]
            if self.running:
                for need in record.needs:
                    self.need(need)
            raise
        self.finish(record, before)
        # A guest does not have the descriptors of its zygote.
        record.is_cold = record.is_cold or free_descriptor() != first_free
        record.effects += [renamed_effect(*scopes) for scopes in renames]
        all_bytes = _cellblock.weigh() - start_bytes
        record.bytes = all_bytes - self.inner_bytes
        self.inner_bytes = outer_bytes + all_bytes
        self.need(name)  # code in C can import without calling __import__
        parent, _, child = name.rpartition(".")
        if parent in sys.modules and parent not in self.running:
            self.prior[name] = vars(sys.modules[parent]).get(child, NONE)
        return module

    def finish(self, record, before):
        self.claim()
        self.note_entries(True)
        self.note_files(record)
        self.running.pop()
        self.note_mimetypes(record)
        self.compare(record, before)

    # -- what else it does

    def note_entries(self, is_end=False):
        """What is new in TABLES is the running module's, which may be at its end."""
        record = self.record()
        for number, (owner, name) in enumerate(TABLES):
            if number not in self.tables:
                table = getattr(sys.modules.get(owner), name, None)
                if table is not None and (owner not in self.running or (is_end and owner == self.running[-1])):
                    self.tables[number] = (table, list(table), set(table))
                continue
            table, _, known = self.tables[number]
            if len(table) == len(known):
                continue
            added = [key for key in table if key not in known]
            known.update(added)
            if added and record is not None:
                record.effects.append(entries_effect(table, added))

    def note_mimetypes(self, record):
        """The running module may have made mimetypes ready."""
        mimetypes = sys.modules.get("mimetypes")
        if mimetypes is None or "mimetypes" in self.running:
            return
        values = {name: getattr(mimetypes, name) for name in MIMETYPES}
        if self.mimetypes is None:
            self.mimetypes = values
        elif mimetypes.inited and not self.mimetypes["inited"]:
            vars(mimetypes).update(self.mimetypes)  # for the next one that asks
            record.effects.append(mimetypes_effect(mimetypes, values))

    def use_scratch(self):
        """From now on modules may make files."""
        if self.scratch is None:
            self.scratch = scratch.Scratch(self.replace)
            self.scratch.begin()
            self.files = self.scratch.state()

    def note_files(self, record):
        """The running module may have looked for files, and made some."""
        if self.scratch is None:
            return
        record.absent |= self.scratch.absent
        self.scratch.absent.clear()
        made = self.scratch.made_since(self.files)
        self.files = self.scratch.state()
        if made is not None:
            record.effects.append(made)

    def state(self):
        exits = getattr(sys.modules.get("threading"), "_threading_atexits", [])
        return [(items, list(items)) for items in (exits, self.filters, sys.meta_path, sys.path_hooks)]

    def compare(self, record, before):
        """Take back, and keep for the run, what the body of a module has added to lists of others."""
        for items, old in before:
            added = [item for item in items if item not in old and item not in self.added]
            if not added:
                continue
            record.effects.append(effect_on(items, items[-1:] == old[-1:], added))
            if items is sys.meta_path or items is sys.path_hooks:
                self.added += added  # later imports may need these
            else:
                items[:] = old

    def watch_effects(self):
        import _warnings
        import atexit

        self.filters = _warnings.filters
        atexit_register, register_at_fork = atexit.register, os.register_at_fork

        def register(function, *args, **kwargs):
            record = self.record()
            if record is None:
                return atexit_register(function, *args, **kwargs)
            record.effects.append(lambda: atexit_register(function, *args, **kwargs))
            return function

        def register_fork(**functions):
            record = self.record()
            if record is None:
                return register_at_fork(**functions)

            is_needless = self.running[-1] in NEEDLESS_AFTER_FORK

            def effect():
                # The program is in a fork of the process that imported the module.
                register_at_fork(**functions)
                if "after_in_child" in functions and not is_needless:
                    functions["after_in_child"]()

            record.effects.append(effect)

        def get(environ, key):
            if self.running and isinstance(key, str):
                name = os.fsencode(key)
                for module in self.running:
                    self.records[module].variables[name] = os.environb.get(name)
            return getitem(environ, key)

        getitem = type(os.environ).__getitem__
        self.replace(atexit, "register", register)
        self.replace(os, "register_at_fork", register_fork)
        self.replace(type(os.environ), "__getitem__", get)

    def watch_warnings(self):
        """A module that warns its importer must do so in every run."""
        import warnings

        show = warnings._showwarnmsg

        def watched_show(message):
            record = self.record()
            if record is not None and (
                message.filename in (__file__, "<frozen importlib._bootstrap>", "sys")
                or issubclass(message.category, (UserWarning, FutureWarning, SyntaxWarning))
            ):
                record.is_cold = True

        self.replace(warnings, "_showwarnmsg", watched_show)
        self.kept_filters = list(self.filters)
        self.filters[:] = [("always", None, Warning, None, 0)]
        warnings._filters_mutated()
        self.show = show

    def end(self):
        for owner, name, original, _ in reversed(self.replaced):
            setattr(owner, name, original)
        self.filters[:] = self.kept_filters
        for items in sys.meta_path, sys.path_hooks:
            items[:] = [item for item in items if item not in self.added]
        if self.mimetypes is not None:
            vars(sys.modules["mimetypes"]).update(self.mimetypes)
        for table, first, _ in self.tables.values():
            if isinstance(table, list):
                table[:] = first
            else:
                for key in set(table).difference(first):
                    del table[key]
        sys.modules["warnings"]._filters_mutated()
        # A module may have kept a replacement under a name of its own.
        originals = {id(replacement): original for _, _, original, replacement in self.replaced}
        for name in self.records:
            scope = getattr(sys.modules.get(name), "__dict__", {})
            for key, value in list(scope.items()):
                if id(value) in originals:
                    scope[key] = originals[id(value)]


# ---- the shelf --------------------------------------------------------------------------------------------------------


def cold_modules(recorder, never):
    """The modules that stay off the shelf: those that must, and all that import one of them."""
    cold = {name for name, record in recorder.records.items() if record.is_cold or name in never}
    grown = True
    while grown:
        grown = False
        for name, record in recorder.records.items():
            parent = name.rpartition(".")[0]
            if name not in cold and (parent in cold or any(need in cold for need in record.needs)):
                cold.add(name)
                grown = True
    return cold


def effects_of(recorder, name):
    effects = list(recorder.records[name].effects) if name in recorder.records else []
    if name in RENEW:
        renew, module = RENEW[name], sys.modules[name]
        effects.append(lambda: renew(module))
    return tuple(effects) or None


def is_on_path(module):
    return getattr(getattr(module, "__spec__", None), "origin", None) not in ("built-in", "frozen")


def books_of(recorder, names):
    """The books of shelf.c: a tuple for each module.

    name, module, number of its package, name of the attribute of its package that is to be set, (that attribute's
    earlier value), numbers of the modules that it imports, effects, variables, files that are not there, is every
    interpreter's, is on sys.path, bytes of memory that its import takes, without those of the modules that it imports
    """
    numbers = {name: number for number, name in enumerate(names)}
    # sys.modules refers to copies of the names, which lie side by side, too.
    copies = [(name + " ")[:-1] for name in names]
    books = []
    for name, copy in zip(names, copies):
        module, record = sys.modules[name], recorder.records.get(name)
        is_base = name in recorder.base
        parent, _, child = name.rpartition(".")
        prior = recorder.prior.get(name)
        package = sys.modules.get(parent)
        is_set = not is_base and prior is not None and vars(package).get(child) is module
        needs = tuple(numbers[need] for need in record.needs if need in numbers) if record else ()
        books.append(
            (
                copy,
                module,
                numbers.get(parent) if record else None,
                child if is_set else None,
                (prior,) if is_set and prior is not NONE else (),
                needs,
                None if is_base else effects_of(recorder, name),
                tuple(record.variables.items()) or None if record else None,
                tuple(map(os.fsencode, sorted(record.absent))) or None if record else None,
                is_base,
                "." not in name and is_on_path(module),
                record.bytes if record else 0,
            )
        )
    return books


def hide(books):
    """Take the modules out of sys.modules and of their packages."""
    for name, _, parent, child, prior, *_, is_base, _, _ in books:
        if is_base:
            continue
        del sys.modules[name]
        if child is not None:
            package = vars(books[parent][1])
            if prior:
                package[child] = prior[0]
            else:
                del package[child]


def fill(imports):
    """Import these modules, and put them and all that they bring on the shelf."""
    cold_bytes = _cellblock.weigh_trial(sys.executable)
    never = never_shelved()
    recorder = Recorder()
    recorder.watch_imports()
    recorder.watch_effects()
    __import__("warnings")
    recorder.watch_warnings()
    home = sys.path.pop(0)  # the driver's directory
    log, null = os.dup(2), os.open("/dev/null", os.O_WRONLY)
    for name in imports:
        may_miss, name = name.startswith("?"), name.strip("?!")
        if name.partition(".")[0] in never:
            continue
        if name.partition(".")[0] in scratch.PACKAGES:
            recorder.use_scratch()
            os.dup2(null, 2)  # programs that they start may complain of the read-only file system
        try:
            __import__(name)
        except Exception as error:
            # The zygote serves without it. A program that imports it gets the same error.
            if may_miss and isinstance(error, ModuleNotFoundError) and name.startswith(error.name or "?"):
                continue
            os.dup2(log, 2)
            warn(f"a zygote cannot import {name}: {type(error).__name__}: {error}")
    os.dup2(log, 2)
    os.close(log)
    os.close(null)
    rehearsals.carry_out(warn)
    rehearsal = rehearsals.for_guests([name.strip("?!") for name in imports if name.endswith("!")])
    if rehearsal:
        _cellblock.rehearse_in_guests(rehearsal)
    sys.path.insert(0, home)
    recorder.end()
    for name in PREPARE.keys() & sys.modules.keys():
        PREPARE[name](sys.modules[name])
    sys.modules.pop("__mp_main__", None)
    cold = cold_modules(recorder, never)
    for name in cold:
        sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        if recorder.prior.get(name) is NONE and parent in sys.modules:
            vars(sys.modules[parent]).pop(child, None)
    books = books_of(recorder, list(sys.modules))
    hide(books)
    _cellblock.shelve(books, cold_bytes)
