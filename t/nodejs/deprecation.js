require('util').isArray([]); require('punycode');
