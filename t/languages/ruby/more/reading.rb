puts gets.chomp.reverse
puts STDIN.each_line.map(&:to_i).sum
p $stdin.eof?
