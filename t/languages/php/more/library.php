<?php
echo json_encode(["a" => [1, null, "€"]], JSON_UNESCAPED_UNICODE), "\n";
echo mb_strtoupper("größe"), " ", mb_strlen("größe"), "\n";
$db = new PDO("sqlite::memory:");
$db->exec("CREATE TABLE t(x); INSERT INTO t VALUES (20), (22)");
echo $db->query("SELECT sum(x) FROM t")->fetchColumn(), "\n";
$name = tempnam(sys_get_temp_dir(), "x");
file_put_contents($name, "kept\n");
echo file_get_contents($name);
echo gmdate("Y-m-d", 0), " ", (new DateTime("2020-02-29", new DateTimeZone("Europe/Paris")))->format("T"), "\n";
echo preg_replace("/(\\w)(\\w)/u", "$2$1", "abcd"), " ", sprintf("%05.1f", 3.14159), "\n";
echo getenv("HOME"), " ", sys_get_temp_dir(), " ", PHP_SAPI, " ", $_SERVER["SCRIPT_NAME"], "\n";
echo time() - $_SERVER["REQUEST_TIME"] < 2 ? "new" : "old", "\n";
