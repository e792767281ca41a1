local t = {}
for word in ("the quick brown fox"):gmatch("%a+") do t[#t + 1] = word end
table.sort(t)
print(table.concat(t, " "))
print(string.format("%5.2f|%-4d|%q", 3.14159, 7, "a\nb"))
print(utf8.len("größe"), #"größe", math.type(3), math.type(3.0), 7 // 2, 2 ^ 10)
print(os.date("!%Y-%m-%d", 0), os.getenv("HOME"))
local name = os.tmpname()
local f <close> = assert(io.open(name, "w"))
f:write("kept\n")
f:flush()
print(io.open(name):read("a"))
print(select(2, pcall(error, { code = 5 })).code)
print(select("#", table.unpack({ 1, nil, 3 }, 1, 3)), arg[0], #arg)
