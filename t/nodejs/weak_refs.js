const r = new WeakRef({}); console.log(typeof r.deref()); new FinalizationRegistry(() => {}).register({}, 1); const w = new WeakMap([[r, 1]]); console.log(w.get(r));
