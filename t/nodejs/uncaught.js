function f() {
  throw new TypeError('bad thing');
}
f();
