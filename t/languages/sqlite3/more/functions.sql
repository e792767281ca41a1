WITH RECURSIVE fib(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM fib LIMIT 8) SELECT group_concat(a) FROM fib;
SELECT json_extract('{"a":[1,2]}', '$.a[1]'), date('2020-02-29', '+1 year'), printf('%05.2f', 3.14159);
SELECT upper('x'), typeof(1.0), coalesce(NULL, 2), 7 / 2, 'a' || 'b';
CREATE VIRTUAL TABLE doc USING fts5(text);
INSERT INTO doc VALUES ('the quick fox'), ('a slow dog');
SELECT text FROM doc WHERE doc MATCH 'quick';
SELECT sqrt(16) = 4.0;
