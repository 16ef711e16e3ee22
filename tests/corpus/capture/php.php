<?php
// curl and streams: php php.php URL VARIANT
[$program, $url, $variant] = $argv;
$text = file_get_contents('body.json');

function by_stream(string $url, string $body, array $headers, array $more = []): void
{
    $options = ['method' => 'POST', 'header' => $headers, 'content' => $body] + $more;
    file_get_contents($url, false, stream_context_create(['http' => $options]));
}

function by_curl(string $url, mixed $body, array $headers): void
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [CURLOPT_POSTFIELDS => $body, CURLOPT_HTTPHEADER => $headers, CURLOPT_RETURNTRANSFER => true]);
    curl_exec($curl);
}

match ($variant) {
    'stream' => by_stream($url, $text, ['Content-Type: application/json']),
    'stream-form' => by_stream($url, http_build_query(json_decode($text, true)), []),
    'stream-gbk' => by_stream($url, iconv('UTF-8', 'GBK', $text), ['Content-Type: text/html; charset=gb2312']),
    'stream-http11' => by_stream($url, $text, ['Content-Type: application/json'], ['protocol_version' => 1.1]),
    'curl-array' => by_curl($url, json_decode($text, true), []),
    'curl-escaped' => by_curl($url, json_encode(json_decode($text, true)), ['Content-Type: application/json']),
    'curl-wrapped' => by_curl($url, ['param' => $text], []),
};
