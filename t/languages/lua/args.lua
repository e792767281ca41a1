for _, one in ipairs(arg) do
	print(one)
end
