const o = {}; Error.captureStackTrace(o); Error.stackTraceLimit = 3; console.log(o.stack); console.log(new Error('y').stack);
