program arguments
  implicit none
  character(len=1000) :: text
  integer :: i

  do i = 1, command_argument_count()
    call get_command_argument(i, text)
    print '(a)', trim(text)
  end do
end program arguments
