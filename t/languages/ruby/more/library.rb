require "json"
require "set"
require "tempfile"
require "time"
require "digest"
require "bigdecimal"
puts JSON.generate({ "a" => [1, nil, "€"] })
p Set.new([1, 2, 2]).size
Tempfile.create("x") { |f| f.puts "kept"; f.rewind; puts f.read }
puts Time.at(0).utc.iso8601
puts Digest::SHA256.hexdigest("")[0, 8]
puts BigDecimal("0.1") + BigDecimal("0.2") == BigDecimal("0.3")
puts "größe".upcase, "größe".length, Encoding.default_external
puts Dir.home, Dir.tmpdir
