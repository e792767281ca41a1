"""Actions of a Python program behind the filters that must work, and others that must be denied.

policy_kernel_test starts it.

usage: policy_guest.py SYS_SECCOMP MARK BASE LAST TELL GO GRANT
    MARK: see mark.h
    BASE, LAST: descriptors of the filters, as BPF
    TELL: a descriptor to which the number of the listener's descriptor is written
    GO: a descriptor from which a byte is read when the listener is served
    GRANT: enum policy_grant
"""
import asyncio
import bz2
import concurrent.futures
import ctypes
import errno
import gzip
import hashlib
import json
import lzma
import mmap
import multiprocessing
import os
import resource
import secrets
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
import zipfile

GRANT_PROCESSES, GRANT_NETWORK, GRANT_LOOPBACK = 1, 2, 4


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


NEW_LISTENER = 1 << 3


def load_filter(call, mark, fd, flags=0):
    code = os.pread(fd, 1 << 20, 0)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long
    result = libc.syscall(number(call), number(1), number(flags), ctypes.byref(program), number(0), number(0), number(mark))
    if result < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return result


def refused(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except PermissionError:
        return
    raise AssertionError("not refused: %s%r" % (function.__name__, args))


def fails_with(error, function, *args):
    try:
        function(*args)
    except OSError as e:
        assert e.errno == error, "%s%r: %s" % (function.__name__, args, e)
        return
    raise AssertionError("no error: %s%r" % (function.__name__, args))


def use_threads():
    done = []
    threads = [threading.Thread(target=done.append, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]


def use_event_loop():
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, sum, [1, 2]) == 3
        near, far = socket.socketpair()
        near.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=far)
        await loop.sock_sendall(near, b"line\n")
        assert await reader.readline() == b"line\n"
        writer.write(b"answer")
        await writer.drain()
        assert await loop.sock_recv(near, 10) == b"answer"
        writer.close()
        near.close()
        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(3)))

    asyncio.run(main())


def use_files():
    with tempfile.TemporaryDirectory() as top:
        path = os.path.join(top, "file")
        with open(path, "w+b") as file:
            file.write(b"x" * 8192)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fallocate(file.fileno(), 0, 10000)
            with mmap.mmap(file.fileno(), 8192) as view:
                view[:2] = b"ab"
                view.flush()
                view.resize(16384)
        copy = shutil.copy2(path, path + ".copy")
        assert os.path.getsize(copy) == 16384
        os.rename(copy, path + ".renamed")
        os.link(path, path + ".link")
        os.symlink("file", path + ".symlink")
        os.chmod(path, 0o600)
        os.utime(path)
        os.truncate(path, 10)
        assert len(os.listdir(top)) == 4 and os.readlink(path + ".symlink") == "file"
        os.mkdir(os.path.join(top, "folder"))
        shutil.copytree(top, top + "/folder/copy", ignore=shutil.ignore_patterns("folder"))
        with zipfile.ZipFile(path + ".zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path)
        with tarfile.open(path + ".tar.gz", "w:gz") as archive:
            archive.add(path)
        with tarfile.open(path + ".tar.gz") as archive:
            archive.extractall(os.path.join(top, "folder"))
        for module in (bz2, gzip, lzma):
            assert module.decompress(module.compress(b"text")) == b"text"
        base = sqlite3.connect(path + ".db")
        for mode in ("delete", "wal"):
            base.execute("pragma journal_mode=%s" % mode)
            base.execute("create table t_%s (a)" % mode)
            base.execute("insert into t_%s values (1)" % mode)
            base.commit()
        base.close()
        here = os.getcwd()
        os.chdir(top)
        os.chdir(here)


def use_own_things():
    with tempfile.TemporaryDirectory() as top:
        path = os.path.join(top, "file")
        open(path, "w").close()
        os.chown(path, os.getuid(), os.getgid())
        os.chown(path, -1, os.getgid())
        os.chown(path, -1, -1)
        os.mkfifo(path + ".fifo")
        os.mknod(path + ".regular")
        refused(os.mknod, path + ".device", 0o20600, 0x103)
        fails_with(errno.EOPNOTSUPP, os.setxattr, path, "user.a", b"b")
    os.setresuid(*os.getresuid())
    os.setresgid(-1, -1, os.getgid())
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.nice(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.sync()
    fails_with(errno.ENOSYS, ctypes_call, "inotify_init1", 0)


def ctypes_call(name, *args):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def use_system():
    ssl.create_default_context()
    hashlib.sha256(secrets.token_bytes(16))
    json.dumps(str(uuid.uuid4()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    signal.signal(signal.SIGALRM, lambda *_: heard.append(2))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while len(heard) < 2:
        time.sleep(0.005)
    read_end, write_end = os.pipe()
    os.write(write_end, b"x")
    assert select.select([read_end], [], [], 1)[0] == [read_end]
    with select.epoll() as poll:
        poll.register(read_end, select.EPOLLIN)
        assert poll.poll(1) == [(read_end, select.EPOLLIN)]
    if hasattr(os, "eventfd"):
        os.close(os.eventfd(0))
    os.close(os.memfd_create("name"))
    assert not os.isatty(read_end)
    os.uname(), os.times(), os.cpu_count(), os.sched_getaffinity(0), os.getgroups(), os.umask(0o77)
    multiprocessing.SimpleQueue()


def use_numpy():
    try:
        import numpy
    except ImportError:
        return
    square = numpy.random.default_rng(1).random((200, 200))
    assert numpy.allclose(square @ numpy.linalg.inv(square), numpy.eye(200))


def use_processes(granted):
    if not granted:
        refused(os.fork)
        refused(subprocess.run, ["/bin/true"])
        refused(os.posix_spawn, "/bin/true", ["true"], {})
        return
    answer = subprocess.run("echo a b | tr a-z A-Z", shell=True, stdout=subprocess.PIPE, start_new_session=True, check=True)
    assert answer.stdout == b"A B\n"
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    assert os.waitpid(pid, 0)[1] == 3 << 8
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert (await process.communicate(b"text"))[0] == b"text"

    asyncio.run(main())


def use_unix_sockets():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(path)
            server.listen()
            client.connect(path)
            peer, _ = server.accept()
            with open(os.devnull) as file:
                socket.send_fds(client, [b"x"], [file.fileno()])
            data, descriptors, _, _ = socket.recv_fds(peer, 10, 1)
            assert data == b"x" and len(descriptors) == 1
            os.close(descriptors[0])
            peer.close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as far, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as near:
            far.bind(path + "2")
            near.sendto(b"x", path + "2")
            assert far.recv(10) == b"x"
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        near.sendmsg([b"x"])
        assert far.recv(1) == b"x"
        near.close()
        far.close()
    refused(socket.socket, socket.AF_UNIX, socket.SOCK_RAW)


def use_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(b"x", server.getsockname())
        assert server.recvfrom(10)[0] == b"x"
        refused(client.setsockopt, socket.SOL_SOCKET, 26, b"\0" * 16)  # SO_ATTACH_FILTER


def use_network(grant):
    if grant & GRANT_LOOPBACK:
        use_datagrams()
    else:
        refused(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    refused(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
    near, far = socket.socketpair()
    far.send(b"x")
    assert near.recv(1) == b"x"
    if not grant & (GRANT_NETWORK | GRANT_LOOPBACK):
        refused(socket.socket)
        return

    async def main():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.close()
        server.close()

    asyncio.run(main())
    refused(socket.socket, socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    refused(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 262)  # MPTCP
    client = socket.socket()
    refused(client.setsockopt, socket.SOL_SOCKET, 26, b"\0" * 16)  # SO_ATTACH_FILTER
    refused(client.setsockopt, socket.IPPROTO_TCP, 31, b"tls")  # TCP_ULP


def main():
    call, mark, base, last, tell, go, grant = map(int, sys.argv[1:])
    listener = load_filter(call, mark, base, NEW_LISTENER)
    os.write(tell, listener.to_bytes(4, sys.byteorder))
    os.read(go, 1)
    os.close(listener)
    load_filter(call, mark, last)
    use_threads()
    use_event_loop()
    use_files()
    use_own_things()
    use_system()
    use_numpy()
    use_processes(grant & GRANT_PROCESSES)
    use_unix_sockets()
    use_network(grant)
    fails_with(errno.ENOSYS, load_filter, call, 0, last)
    print("done")


if __name__ == "__main__":
    main()
