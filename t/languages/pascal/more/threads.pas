program Threads;
{$mode objfpc}{$H+}
uses cthreads, Classes, SysUtils;

type
  TAdder = class(TThread)
  private
    FNumber: LongInt;
  protected
    procedure Execute; override;
  public
    constructor Create(Number: LongInt);
  end;

var
  Sum: LongInt = 0;
  Adders: array[1..16] of TAdder;
  I: Integer;

constructor TAdder.Create(Number: LongInt);
begin
  FNumber := Number;
  inherited Create(False);
end;

procedure TAdder.Execute;
var
  K: Integer;
begin
  for K := 1 to 1000 do
    InterlockedExchangeAdd(Sum, FNumber);
end;

begin
  for I := 1 to 16 do
    Adders[I] := TAdder.Create(I);
  for I := 1 to 16 do
  begin
    Adders[I].WaitFor;
    Adders[I].Free;
  end;
  WriteLn(Sum);
end.
