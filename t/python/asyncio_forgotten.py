import asyncio


async def never():
    pass


async def fails():
    raise KeyError("never retrieved")


async def main():
    never()
    asyncio.create_task(fails(), name="the task")
    await asyncio.sleep(0.01)


asyncio.run(main())
print("done")
