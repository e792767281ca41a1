const größe = 'ünï 😀'; console.log(größe, größe.length);
throw new Error(größe);
