program leave
  implicit none
  stop 7
end program leave
