"""overload.py - how the service behaves when it is asked for more than it can do, and how fair it is among keys.

usage: overload.py [--prefix PREFIX] [--seconds N] [--quick] [--only fairness|overload]

fairness: one key keeps 1,000 requests waiting; another sends one run a second. Its times are compared with those from
before, when nothing else ran.

overload: four times as many requests as the service can carry out, for N seconds, from 2, 20 and 200 keys. The figures:
accepted runs a second against the best, the times of accepted runs, the refusals, the memory, and the time of a run
two seconds after the end.
"""
import argparse
import asyncio
import multiprocessing
import sys
import time

import instance
from http_client import Client, percentile

SLEEP_S = 0.1
PROGRAM = {"language": "python3", "code": f"import time\ntime.sleep({SLEEP_S})\nprint(1)"}
SHORT = {"language": "python3", "code": "print(1)"}
WAITING = 1000  # requests of the key that floods
QUEUE = 1200  # runner.queue: all of these find a place


def show(name, **figures):
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()), flush=True)


def ms(seconds):
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def is_good(answer):
    return answer is not None and answer.status == 200 and answer.data.get("stdout") == "1\n"


async def one_by_one(client, key, body, count, pause, answers=None):
    """The seconds of each of `count` good runs, and the number of others; the good answers go into `answers`."""
    seconds, bad = [], 0
    for _ in range(count):
        began = time.monotonic()
        answer = await client.run(key, body, 120)
        if is_good(answer):
            seconds.append(answer.seconds)
            if answers is not None:
                answers.append(answer)
        else:
            bad += 1
        await asyncio.sleep(max(0, pause - (time.monotonic() - began)))
    return seconds, bad


async def keep_busy(client, key, body, count, until, counts):
    """`count` requests at a time until `until` is set; `counts` by status."""
    async def one():
        while not until.is_set():
            answer = await client.run(key, body, 120)
            status = answer.status if answer else 0
            counts[status] = counts.get(status, 0) + 1
            if status != 200:
                await asyncio.sleep(0.2)
    await asyncio.gather(*(one() for _ in range(count)))


def flood(port, key, until, results):
    """The process of the key that floods: it must not share an event loop with the one that is measured."""
    async def work():
        counts, client = {}, Client(port)
        await keep_busy(client, key, PROGRAM, WAITING, until, counts)
        client.close()
        return counts
    results.put(asyncio.run(work()))


async def fairness(service, runs):
    flood_key, light_key = service.add_key("flood", waiting=WAITING, burst=100000, rate=100000), service.add_key("light")
    service.configure("queue", QUEUE)
    service.reload()
    client, until, results = Client(service.port), multiprocessing.Event(), multiprocessing.Queue()
    await one_by_one(client, light_key, SHORT, 20, 0)
    quiet, quiet_bad = await one_by_one(client, light_key, SHORT, 2 * runs, 0.05)
    flooder = multiprocessing.Process(target=flood, args=(service.port, flood_key, until, results))
    flooder.start()
    await asyncio.sleep(3)
    answers = []
    loaded, loaded_bad = await one_by_one(client, light_key, SHORT, runs, 1, answers)
    until.set()
    counts = results.get()
    flooder.join()
    client.close()
    show("fairness", quiet_p50=ms(percentile(quiet, 50)), quiet_p99=ms(percentile(quiet, 99)), quiet_bad=quiet_bad,
         loaded_p50=ms(percentile(loaded, 50)), loaded_p99=ms(percentile(loaded, 99)), loaded_bad=loaded_bad,
         **{f"loaded_{name}_p99": ms(percentile([a.data["usage"][f"{name}_ms"] / 1000 for a in answers], 99))
            for name in ("queue", "spawn", "wall")},
         flood=counts)


async def best_rate(client, keys, cells, seconds):
    """Runs a second with as many clients as there are cells."""
    counts, until = {}, asyncio.Event()
    clients = [asyncio.create_task(keep_busy(client, key, PROGRAM, cells // len(keys), until, counts)) for key in keys]
    await asyncio.sleep(1)
    before, began = counts.get(200, 0), time.monotonic()
    await asyncio.sleep(seconds)
    rate = (counts.get(200, 0) - before) / (time.monotonic() - began)
    until.set()
    await asyncio.gather(*clients)
    return rate


async def overload(service, keys, rate, seconds):
    client, answers, tasks = Client(service.port), [], set()
    before = service.memory()["all"]
    began = time.monotonic()

    async def one(key):
        answers.append(await client.run(key, PROGRAM, 120))

    sent = 0
    while time.monotonic() - began < seconds:
        while sent < (time.monotonic() - began) * rate:
            task = asyncio.create_task(one(keys[sent % len(keys)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.005)
    carried_out = sum(is_good(answer) for answer in answers) / (time.monotonic() - began)
    during = service.memory()["all"]
    while tasks:
        await asyncio.wait(tasks)
    await asyncio.sleep(2)
    after, after_bad = await one_by_one(client, keys[0], SHORT, 20, 0)
    client.close()
    good = [answer.seconds for answer in answers if is_good(answer)]
    refused = [answer for answer in answers if answer and answer.status != 200]
    show(f"overload by {len(keys)} keys", sent=sent, carried_out=f"{carried_out:.0f}/s", p50=ms(percentile(good, 50)),
         p99=ms(percentile(good, 99)), refused=len(refused), no_answer=sum(answer is None for answer in answers),
         statuses={status: sum(a.status == status for a in refused) for status in {a.status for a in refused}},
         without_retry_after=sum("retry-after" not in a.headers or not a.is_envelope() for a in refused),
         refusal_p99=ms(percentile([a.seconds for a in refused], 99)),
         memory_mib=f"{sum(p for p, _ in before) / 1024:.0f} -> {sum(p for p, _ in during) / 1024:.0f}",
         run_2_s_later=ms(percentile(after, 50)), bad_2_s_later=after_bad)


async def measure(service, options):
    if options.only != "overload":
        await fairness(service, 20 if options.quick else 60)
    if options.only == "fairness":
        return
    client = Client(service.port)
    keys = [service.add_key(f"key{number}") for number in range(200)]
    service.reload()
    show("idle", run=ms(percentile((await one_by_one(client, keys[0], SHORT, 40, 0))[0], 50)))
    best = await best_rate(client, keys[:4], 28, 5)
    client.close()
    show("best", rate=f"{best:.0f}/s")
    for count in (2, 20, 200):
        await overload(service, keys[:count], 4 * best, 10 if options.quick else options.seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("fairness", "overload"))
    options = parser.parse_args()
    with instance.serving(options.prefix) as service:
        asyncio.run(measure(service, options))


if __name__ == "__main__":
    main()
