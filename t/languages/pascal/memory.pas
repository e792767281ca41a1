program Memory;
var
  More: Pointer;
begin
  while True do
  begin
    GetMem(More, 1 shl 20);
    FillChar(More^, 1 shl 20, 1);
  end;
end.
