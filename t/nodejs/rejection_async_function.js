async function f() { await null; JSON.parse('{bad'); }
f();
