CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, age INT);
INSERT INTO person(name, age) VALUES ('Ann', 30), ('Bob', 25), ('Größe', 41);
SELECT name, age FROM person WHERE age > 26 ORDER BY age DESC;
SELECT count(*), avg(age), group_concat(name, '+') FROM person;
SELECT name, rank() OVER (ORDER BY age) FROM person ORDER BY 2;
BEGIN;
DELETE FROM person;
ROLLBACK;
SELECT count(*), length('größe') FROM person;
