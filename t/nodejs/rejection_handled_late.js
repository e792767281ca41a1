const p = Promise.reject(new Error('late')); setTimeout(() => p.catch(() => {}), 5);
