let s = '['.repeat(4000) + ']'.repeat(4000); console.log(JSON.stringify(JSON.parse(s)).length);
