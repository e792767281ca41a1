import gzip
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("x/y.txt", "text" * 100)
with zipfile.ZipFile("a.zip") as z:
    print(z.namelist(), len(z.read("x/y.txt")), z.testzip())
    z.extractall("out")
print(sorted(os.listdir("out/x")), os.path.getsize("out/x/y.txt"))
with tarfile.open("a.tar.gz", "w:gz") as t:
    t.add("out", arcname="o")
print(tarfile.open("a.tar.gz").getnames(), gzip.decompress(gzip.compress(b"z" * 50)))
with tempfile.NamedTemporaryFile("w+", suffix=".t") as f:
    f.write("hello")
    f.flush()
    print(open(f.name).read(), os.path.dirname(f.name) == tempfile.gettempdir())
with tempfile.TemporaryDirectory() as d:
    os.mkdir(d + "/s")
    os.symlink("nowhere", d + "/link")
    open(d + "/a", "w").close()
    os.link(d + "/a", d + "/hard")
    os.rename(d + "/s", d + "/t")
    os.chmod(d + "/t", 0o700)
    print(sorted(os.listdir(d)), os.path.islink(d + "/link"), os.stat(d + "/a").st_nlink)
shutil.rmtree("out")
f = tempfile.TemporaryFile()
f.write(b"x" * 70000)
print(f.tell(), os.fstat(f.fileno()).st_size, os.path.exists(d))
open("missing.txt")
