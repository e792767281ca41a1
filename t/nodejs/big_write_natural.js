process.stdout.write('y'.repeat(5000000), () => console.error('written'));
