console.log('h\u00e9llo \u{1f600}', 'stra\u00dfe'.toUpperCase(), [...'\u{1f600}x'].length, Buffer.from('\u00e9').toString('hex'), 'e\u0301'.normalize('NFC').length);
