program Hello;
begin
  WriteLn('hello');
end.
