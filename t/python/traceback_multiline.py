def call(*args, **kwargs):
    return args[0](
        *args[1:],
        **kwargs,
    )


call(
    int,
    "é€😀 not a number",
)
