import asyncio


async def inner():
    await asyncio.sleep(0)
    raise ValueError("from a coroutine")


async def main():
    await asyncio.create_task(inner())


asyncio.run(main())
