{ fphttpclient of Free Pascal, the nearest to Delphi: fpc lazarus.pas && ./lazarus URL VARIANT }
program lazarus;

{$mode objfpc}{$h+}

uses
  classes, sysutils, fphttpclient;

var
  client: tfphttpclient;
  body: tstringstream;
  text: string;

begin
  with tstringlist.create do
  begin
    loadfromfile('body.json');
    // It ends with a line end, which the client sends along.
    lazarus.text := text;
  end;
  client := tfphttpclient.create(nil);
  body := tstringstream.create(text);
  case paramstr(2) of
    'plain':
      client.requestbody := body;
    'json':
    begin
      client.addheader('Content-Type', 'application/json');
      client.requestbody := body;
    end;
    'http10':
    begin
      client.httpversion := '1.0';
      client.addheader('Content-Type', 'application/json');
      client.requestbody := body;
    end;
  end;
  if paramstr(2) = 'form' then
    client.formpost(paramstr(1), 'param=' + encodeurlelement(text))
  else
    client.post(paramstr(1));
end.
