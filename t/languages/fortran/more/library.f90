module shapes
  implicit none
  type, abstract :: shape
  contains
    procedure(area_of), deferred :: area
  end type shape
  type, extends(shape) :: square
    real(8) :: side
  contains
    procedure :: area => square_area
  end type square
  abstract interface
    real(8) function area_of(self)
      import :: shape
      class(shape), intent(in) :: self
    end function area_of
  end interface
contains
  real(8) function square_area(self)
    class(square), intent(in) :: self
    square_area = self%side**2
  end function square_area
end module shapes

program library
  use shapes
  use iso_fortran_env, only: int64, real64
  use iso_c_binding, only: c_int
  implicit none
  class(shape), allocatable :: one
  real(real64) :: a(2, 2), b(2)
  complex(real64) :: z
  character(len=20) :: text
  integer :: unit, i

  allocate (one, source=square(1.5_real64))
  print '(f0.2)', one%area()
  a = reshape([2.0_real64, 1.0_real64, 1.0_real64, 3.0_real64], [2, 2])
  b = matmul(a, [1.0_real64, 2.0_real64])
  print '(2f6.2)', b
  print '(3f8.4)', sqrt(2.0_real64), dot_product(b, b), sum([(real(i, real64), i=1, 10)])
  z = (3.0_real64, 4.0_real64)
  print '(f5.2)', abs(z)
  open (newunit=unit, file='note.txt', status='new')
  write (unit, '(a)') 'kept'
  rewind (unit)
  read (unit, '(a)') text
  close (unit)
  print '(a)', trim(text)
  print '(i0)', product([(int(i, int64), i=1, 20)])
  write (text, '(i5.5)') 42
  print '(a,1x,l1)', trim(text), index('grüß', 'ß') > 0
end program library
