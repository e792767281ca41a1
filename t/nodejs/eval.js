console.log(eval('1+1'), new Function('a', 'return a*2')(4)); try { eval('let ='); } catch (e) { console.log(e.name, e.message); }
eval('throw new Error("from eval")');
