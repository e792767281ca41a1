program memory
  use iso_fortran_env, only: int8
  implicit none
  type :: node
    integer(int8), allocatable :: bytes(:)
    type(node), pointer :: next => null()
  end type node
  type(node), pointer :: first => null(), more

  do
    allocate (more)
    allocate (more%bytes(2**20))
    more%bytes = 1_int8
    more%next => first
    first => more
  end do
end program memory
