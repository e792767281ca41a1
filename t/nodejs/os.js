const os = require('os'); console.log(os.EOL === '\n', os.platform(), os.endianness(), os.homedir(), os.tmpdir(), typeof os.totalmem(), os.loadavg().length);
