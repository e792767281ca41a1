import('path').then((p) => console.log(p.default.sep, Object.keys(p).length > 5));
