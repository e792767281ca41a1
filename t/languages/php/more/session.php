<?php
// A session is kept in a file, which is in the place for temporary files.
ob_start();
session_start();
$_SESSION['cart'] = ['apple' => 2];
$id = session_id();
session_write_close();
$_SESSION = [];
session_id($id);
session_start();
echo json_encode($_SESSION), ' ', strlen($id) > 20 ? 'id' : 'no id', "\n";
