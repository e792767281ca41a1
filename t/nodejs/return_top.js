console.log('before'); return; console.log('after');
