program failure
  implicit none
  error stop 'nothing goes on from here'
end program failure
