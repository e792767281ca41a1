program Time;
begin
  while True do;
end.
