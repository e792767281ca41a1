process.exitCode = '7';
