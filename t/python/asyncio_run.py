import asyncio


async def part(n):
    await asyncio.sleep(0.01 * n)
    return n


async def main():
    print(await asyncio.gather(*(part(n) for n in range(5))))
    print(await asyncio.wait_for(part(1), 5), await asyncio.to_thread(str, 5))
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as group:
            t = group.create_task(part(2))
    print(t.result())
    try:
        await asyncio.wait_for(asyncio.sleep(100), 0.01)
    except TimeoutError as e:
        print("timed out", repr(e))


asyncio.run(main())
