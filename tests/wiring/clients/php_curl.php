<?php
foreach ([null, str_repeat("x", 20000)] as $body) {
    $call = curl_init($argv[1]);
    curl_setopt($call, CURLOPT_RETURNTRANSFER, true);
    if ($body !== null) {
        curl_setopt($call, CURLOPT_POSTFIELDS, $body);
    }
    $text = curl_exec($call);
    if ($text === false) {
        fwrite(STDERR, curl_error($call) . "\n");
        exit(1);
    }
    echo curl_getinfo($call, CURLINFO_RESPONSE_CODE), " ", trim($text), "\n";
}
