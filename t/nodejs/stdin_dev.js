console.log(process.stdin.isTTY, process.stdin.fd, process.stdin.readable, process.stdout.isTTY, process.stderr.isTTY, process.stdout.columns);
