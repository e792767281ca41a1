try { require('no-such-thing'); } catch (e) { console.log(e.code, e.requireStack); }
require('cellblock');
