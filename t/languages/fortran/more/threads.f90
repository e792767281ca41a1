program threads
  use omp_lib
  implicit none
  integer :: i
  integer(8) :: total

  call omp_set_num_threads(8)
  total = 0
  !$omp parallel do reduction(+:total)
  do i = 1, 100000
    total = total + i
  end do
  !$omp end parallel do
  print '(i0)', total
  !$omp parallel
  !$omp single
  print '(i0)', omp_get_num_threads()
  !$omp end single
  !$omp end parallel
end program threads
