// HttpURLConnection and java.net.http: java Java.java URL VARIANT
import java.io.DataOutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

public class Java {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        String text = Files.readString(Path.of("body.json"));
        switch (arguments[1]) {
            case "http-client" -> client(url, text, HttpClient.Version.HTTP_1_1);
            case "http-client-h2c" -> client(url, text, HttpClient.Version.HTTP_2);
            case "url-connection" -> old(url, text.getBytes(StandardCharsets.UTF_8), "application/json;charset=UTF-8", 0);
            case "url-connection-plain" -> old(url, text.getBytes(StandardCharsets.UTF_8), null, 0);
            case "url-connection-chunked" -> old(url, text.getBytes(StandardCharsets.UTF_8), "application/json", 64);
            case "url-connection-gbk-form" -> {
                // What Java 6 code on a Chinese Windows does: the platform's charset, everywhere.
                String form = "param=" + URLEncoder.encode(text, "GBK");
                old(url, form.getBytes("GBK"), "application/x-www-form-urlencoded", 0);
            }
            case "url-connection-write-chars" -> {
                // DataOutputStream.writeBytes drops the high byte of every character.
                HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
                connection.setRequestMethod("POST");
                connection.setDoOutput(true);
                connection.setRequestProperty("Content-Type", "application/json");
                try (DataOutputStream out = new DataOutputStream(connection.getOutputStream())) {
                    out.writeBytes(text);
                }
                connection.getResponseCode();
            }
            case "url-connection-expect" -> {
                HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
                connection.setRequestMethod("POST");
                connection.setDoOutput(true);
                connection.setRequestProperty("Expect", "100-Continue");
                connection.setRequestProperty("Content-Type", "text/json; charset=GB2312");
                byte[] body = text.getBytes(Charset.forName("GB2312"));
                connection.setFixedLengthStreamingMode(body.length);
                connection.getOutputStream().write(body);
                connection.getResponseCode();
            }
            default -> throw new IllegalArgumentException(arguments[1]);
        }
    }

    private static void old(String url, byte[] body, String type, int chunk) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        if (type != null) {
            connection.setRequestProperty("Content-Type", type);
        }
        if (chunk > 0) {
            connection.setChunkedStreamingMode(chunk);
        }
        try (DataOutputStream out = new DataOutputStream(connection.getOutputStream())) {
            out.write(body);
        }
        connection.getResponseCode();
    }

    private static void client(String url, String text, HttpClient.Version version) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(version).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(text))
                .build();
        client.send(request, HttpResponse.BodyHandlers.discarding());
    }
}
