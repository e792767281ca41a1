process.env.X = 1; console.log(process.env.X, typeof process.env.HOME, 'X' in process.env, process.env.NOPE); delete process.env.X; console.log(process.env.X, process.env.NODE_OPTIONS, process.env.LD_PRELOAD, process.env.UV_USE_IO_URING);
process.env.TZ = 'Asia/Tokyo'; console.log(new Date(0).getHours());
