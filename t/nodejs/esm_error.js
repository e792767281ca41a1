import os from 'os';
function f() {
  throw new Error('in a module');
}
f();
