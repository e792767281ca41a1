import array
import io
import mmap
with open("m", "wb+") as f:
    f.write(b"\0" * 8192)
    f.flush()
    with mmap.mmap(f.fileno(), 0) as m:
        m[:4] = b"abcd"
        print(m.find(b"cd"), len(m))
anonymous = mmap.mmap(-1, 4096)
anonymous.write(b"x")
print(open("m", "rb").read(4), array.array("i", [1, 2]).tobytes(), memoryview(b"abc")[1:].tolist(), io.BytesIO(b"q").read())
