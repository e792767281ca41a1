.mode column
.headers on
CREATE TABLE t(a, b);
INSERT INTO t VALUES (1, 'x');
SELECT * FROM t;
.mode csv
SELECT a, 'y,z' AS c FROM t;
.save copy.db
ATTACH 'copy.db' AS copy;
.headers off
SELECT count(*) FROM copy.t;
