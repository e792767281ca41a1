const c = require('crypto'); console.log(c.createHash('sha256').update('x').digest('hex'), c.createHmac('md5', 'k').update('d').digest('base64'));
console.log(c.pbkdf2Sync('p', 's', 10, 16, 'sha1').toString('hex'));
const k = c.createSecretKey(Buffer.alloc(32)); const i = c.createCipheriv('aes-256-gcm', k, Buffer.alloc(12)); console.log(i.update('hi', 'utf8', 'hex') + i.final('hex'));
c.pbkdf2('p', 's', 1000, 16, 'sha512', (e, k) => { console.log('async', k.toString('hex'));
c.scrypt('p', 's', 16, (e, k) => { console.log('scrypt', k.toString('hex')); c.randomBytes(8, (e, b) => { console.log(b.length);
c.generateKeyPair('ec', { namedCurve: 'P-256' }, (e, pub) => { console.log(e, pub.asymmetricKeyType); c.webcrypto.subtle.digest('SHA-1', Buffer.from('a')).then((d) => console.log(Buffer.from(d).toString('hex'))); }); }); }); });
