process.on('unhandledRejection', (r) => console.log('listener', r)); Promise.reject(3);
