SELECT 1;

SELECT * FROM nowhere;
SELECT 'not reached';
