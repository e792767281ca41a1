fetch('data:text/plain,hello').then((r) => r.text()).then(console.log); console.log(typeof fetch, typeof Headers, new Headers({ a: 'b' }).get('A'));
