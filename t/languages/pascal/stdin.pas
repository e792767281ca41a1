program Shout;
{$mode objfpc}{$H+}
uses SysUtils;
var
  Line: string;
begin
  while not Eof do
  begin
    ReadLn(Line);
    WriteLn(UpperCase(Line));
  end;
end.
