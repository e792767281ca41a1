local function fail()
	error("boom")
end

fail()
