import hashlib
import hmac
import zlib
print(hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"x").hexdigest(), hashlib.blake2b(b"x", digest_size=8).hexdigest())
print(hmac.new(b"k", b"m", "sha1").hexdigest(), hashlib.pbkdf2_hmac("sha256", b"p", b"s", 10).hex(), zlib.crc32(b"x"))
print(hashlib.scrypt(b"p", salt=b"s", n=2, r=1, p=1).hex()[:8], hash(5), hash(2 ** 61), hash(1.5), "sha3_256" in hashlib.algorithms_available)
