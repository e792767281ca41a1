puts __FILE__ == $0, $0, __LINE__
puts DATA.read
t = Thread.new { Thread.current[:x] = 1; 6 * 7 }
puts t.value
q = Queue.new
Thread.new { 3.times { |i| q << i } }.join
puts q.size
f = Fiber.new { Fiber.yield 1; 2 }
puts f.resume, f.resume
begin
  raise ArgumentError, "no"
rescue => e
  puts "#{e.class}: #{e.message} #{e.backtrace}"
end
at_exit { puts "end" }
require "timeout"
begin
  Timeout.timeout(0.05) { sleep }
rescue Timeout::Error
  puts "timeout"
end
__END__
data
