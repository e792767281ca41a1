def fail_here
  raise "boom"
end

fail_here
