// WebClient, HttpWebRequest and HttpClient: mcs -r:System.Net.Http.dll Mono.cs && mono Mono.exe URL VARIANT
using System;
using System.Collections.Specialized;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Text;

public static class Mono
{
    public static void Main(string[] arguments)
    {
        string url = arguments[0];
        string text = File.ReadAllText("body.json", Encoding.UTF8);
        switch (arguments[1])
        {
            case "web-client":
                // Its default encoding is the system's, and it names no type.
                using (var client = new WebClient { Encoding = Encoding.UTF8 })
                    client.UploadString(url, text);
                break;
            case "web-client-gb2312":
                using (var client = new WebClient { Encoding = Encoding.GetEncoding("GB2312") })
                {
                    client.Headers[HttpRequestHeader.ContentType] = "application/json; charset=GB2312";
                    client.UploadString(url, text);
                }
                break;
            case "web-client-values":
                using (var client = new WebClient())
                    client.UploadValues(url, new NameValueCollection { { "data", text } });
                break;
            case "web-request-expect":
                Send(url, Encoding.GetEncoding("GB2312").GetBytes(text), "application/json", true, HttpVersion.Version11);
                break;
            case "web-request-bom":
                // A StreamWriter with Encoding.UTF8 begins with a byte order mark.
                using (var buffer = new MemoryStream())
                {
                    using (var writer = new StreamWriter(buffer, Encoding.UTF8))
                        writer.Write(text);
                    Send(url, buffer.ToArray(), "application/json; charset=utf-8", true, HttpVersion.Version11);
                }
                break;
            case "web-request-http10":
                Send(url, Encoding.UTF8.GetBytes(text), "application/json", false, HttpVersion.Version10);
                break;
            case "web-request-unicode":
                using (var buffer = new MemoryStream())
                {
                    using (var writer = new StreamWriter(buffer, Encoding.Unicode))
                        writer.Write(text);
                    Send(url, buffer.ToArray(), "application/json", false, HttpVersion.Version11);
                }
                break;
            case "http-client":
                using (var client = new HttpClient())
                    client.PostAsync(url, new StringContent(text, Encoding.UTF8, "application/json")).Wait();
                break;
            default:
                throw new ArgumentException(arguments[1]);
        }
    }

    private static void Send(string url, byte[] body, string type, bool expect, Version version)
    {
        var request = (HttpWebRequest)WebRequest.Create(url);
        request.Method = "POST";
        request.ContentType = type;
        request.ContentLength = body.Length;
        request.ProtocolVersion = version;
        request.ServicePoint.Expect100Continue = expect;
        using (var stream = request.GetRequestStream())
            stream.Write(body, 0, body.Length);
        using (request.GetResponse()) { }
    }
}
