local function generate(n)
	return coroutine.wrap(function()
		for i = 1, n do coroutine.yield(i * i) end
	end)
end
for square in generate(3) do print(square) end
local object = setmetatable({}, { __index = function(_, k) return k .. "!" end, __call = function(_, a) return a + 1 end })
print(object.hey, object(1))
print(pcall(function() local x = nil; return x.y end))
goto done
print("not reached")
::done::
print(debug.getinfo(1, "S").short_src, debug.getinfo(1, "l").currentline)
