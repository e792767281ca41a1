program Library1;
{$mode objfpc}{$H+}
uses SysUtils, Classes, Math, StrUtils, DateUtils, fgl;

type
  TShape = class
    function Area: Double; virtual; abstract;
  end;
  TSquare = class(TShape)
  private
    FSide: Double;
  public
    constructor Create(Side: Double);
    function Area: Double; override;
  end;
  TCounts = specialize TFPGMap<string, Integer>;

constructor TSquare.Create(Side: Double);
begin
  FSide := Side;
end;

function TSquare.Area: Double;
begin
  Result := FSide * FSide;
end;

var
  Shape: TShape;
  Words: TStringList;
  Counts: TCounts;
  I: Integer;
  Note: TextFile;
  Line: string;
begin
  Shape := TSquare.Create(1.5);
  WriteLn(Shape.ClassName, ' ', Shape.Area:0:2);
  Shape.Free;
  Words := TStringList.Create;
  Words.DelimitedText := 'pear apple fig apple';
  Words.Sort;
  WriteLn(Words.CommaText);
  Counts := TCounts.Create;
  Counts.Sorted := True;
  for Line in Words do
    if Counts.Find(Line, I) then
      Counts.Data[I] := Counts.Data[I] + 1
    else
      Counts.Add(Line, 1);
  WriteLn(Counts.Keys[0], '=', Counts.Data[0]);
  WriteLn(FormatFloat('0.000000', Sqrt(2)), ' ', Max(3, 4), ' ', ReverseString('abc'));
  WriteLn(FormatDateTime('yyyy-mm-dd', IncDay(EncodeDate(2024, 2, 28), 2)));
  AssignFile(Note, 'note.txt');
  Rewrite(Note);
  WriteLn(Note, 'kept');
  CloseFile(Note);
  Reset(Note);
  ReadLn(Note, Line);
  CloseFile(Note);
  WriteLn(Line, ' ', GetCurrentDir);
  try
    WriteLn(StrToInt('12x'));
  except
    on E: EConvertError do
      WriteLn('caught');
  end;
  WriteLn('grüß ', Length('grüß'));
end.
