import random
import secrets
import uuid
random.seed(5)
print(random.random(), random.sample(range(100), 5), random.Random("x").getrandbits(64), random.gauss(0, 1))
print(len(secrets.token_hex(8)), uuid.uuid5(uuid.NAMESPACE_DNS, "x"), uuid.uuid4().version, 0 <= random.SystemRandom().random() < 1)
