# Limits of what the kernel counts: processes and threads, open files, files and directories, the
# stack. Each can be asked for, is met, and is named by the reply.
use strict;
use warnings;
use Cellblock qw(envelope_ok json);
use Test::More;

my $cb = Cellblock->start;

sub outcome {
    my ($reply) = @_;
    my $d = $reply->{data} // {};
    return diag json->encode($reply->{json}) if !$d->{status};
    return $d;
}

my $threads = <<'PYTHON';
import threading, time
n = 0
try:
    for _ in range(300):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        n += 1
finally:
    print(n, flush=True)
PYTHON
my $files = <<'PYTHON';
kept = []
try:
    for _ in range(3000): kept.append(open("/dev/null"))
finally:
    print(len(kept) + 3 in (%d - 1, %d) or len(kept), flush=True)
PYTHON
my $entries = "import os\nn = 0\ntry:\n  for n in range(20000): os.mkdir(f'/tmp/{n}')\nfinally: print(n > %d - 30 and n <= %d or n, flush=True)";
my $deep = <<'C';
#include <stdio.h>
#include <string.h>
static int down(int n) { volatile char room[1000]; memset((void *)room, n, sizeof room); return n == 0 ? 0 : down(n - 1) + (room[7] == (char)n); }
int main(void) { printf("%d\n", down(20000)); return 0; }
C
my $many = <<'CPP';
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>
int main() {
    std::vector<std::thread> threads;
    for (int i = 0; i < 128; i++) threads.emplace_back([] { std::this_thread::sleep_for(std::chrono::milliseconds(200)); });
    for (auto &t : threads) t.join();
    std::printf("%zu\n", threads.size());
}
CPP
my @cases = (
    # name, request, status, stdout, limit that is met, its value, and what the error has
    ['100 threads by default', { code => $threads =~ s/300/100/r }, 'ok', "100\n"],
    ['too many threads', { code => $threads }, 'process_limit', "191\n", processes => 64, '192 together: limits.processes 64, limits.threads 128'],
    ['too many threads of one process', { code => $threads, limits => { processes => 1 } }, 'process_limit', "128\n", threads => 128],
    ['threads that were asked for', { code => $threads, limits => { threads => 300 } }, 'ok', "300\n"],
    ['fewer threads', { code => $threads, limits => { threads => 5, processes => 1 } }, 'process_limit', "5\n", threads => 5],
    ['processes, and no threads in addition', { code => $threads, limits => { processes => 6 } }, 'process_limit', "5\n", processes => 6],
    ['processes, and threads in addition', { code => $threads, limits => { processes => 6, threads => 10 } }, 'process_limit', "15\n", processes => 6, '16 together: limits.processes 6, limits.threads 10'],
    ['open files', { code => sprintf $files, 1024, 1024 }, 'exit', "True\n"],
    ['fewer open files', { code => (sprintf $files, 100, 100), limits => { open_files => 100 } }, 'exit', "True\n"],
    ['more open files', { code => (sprintf $files, 2000, 2000), limits => { open_files => 2000 } }, 'exit', "True\n"],
    ['entries', { code => sprintf $entries, 4096, 4096 }, 'disk_limit', "True\n", inodes => 4096],
    ['fewer entries', { code => (sprintf $entries, 100, 100), limits => { inodes => 100 } }, 'disk_limit', "True\n", inodes => 100],
    ['more entries', { code => (sprintf $entries, 18000, 18000), limits => { inodes => 18000 } }, 'disk_limit', "True\n", inodes => 18000],
    ['a stack that is too small', { language => 'c', code => $deep, limits => { stack_bytes => 8 << 20 } }, 'signal', ''],
    ['a stack that is as large as the memory', { language => 'c', code => $deep }, 'ok', qr/\A\d+\n\z/],
    ['memory that was asked for, and the stack with it', { language => 'c', code => $deep =~ s/20000/500000/r, limits => { memory_bytes => 900 << 20 } }, 'ok', qr/\A\d+\n\z/],
    ['128 threads of a language with large stacks', { language => 'cpp', code => $many }, 'ok', "128\n"],
);
for (@cases) {
    my ($name, $request, $status, $stdout, $limit, $value, $words) = @$_;
    $words //= $value;
    SKIP: {
        my $r = $cb->run(%$request);
        skip "$name: no compiler here", 2 if ($r->{json}{message} // '') =~ /unsupported language/;
        my $d = outcome($r);
        is $d->{status}, $status, "$name: status" or diag json->encode($d);
        ref $stdout ? like $d->{stdout}, $stdout, "$name: stdout" : is $d->{stdout}, $stdout, "$name: stdout";
        next if !$limit;
        is_deeply $d->{limit}, { name => $limit, value => $value }, "$name: the reply names the limit";
        my $first = (split /\n/, $d->{error})[1];
        like $first, qr/\Aerror: .*limit.* \($words\)/, "$name: the error names it, too";
    }
}

# A program cannot raise what it was given.
my $raise = $cb->run(code => <<'PYTHON');
import resource
for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK):
    soft, hard = resource.getrlimit(what)
    print(soft, hard)
    try: resource.setrlimit(what, (hard + 1, hard + 1))
    except (ValueError, PermissionError) as e: print(type(e).__name__)
PYTHON
is $raise->{data}{stdout}, "1024 1024\nValueError\n268435456 268435456\nValueError\n", 'a program cannot raise its own limits' or diag $raise->{body};

# A subprocess works, unless the request is for one process; then the hint says how.
is $cb->run(code => "import os\npid = os.fork()\nif pid == 0: os._exit(7)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))")->{data}{stdout}, "7\n", 'a program can start another by default';
my $alone = $cb->run(code => 'import os; os.fork()', limits => { processes => 1 });
my ($hint) = map { $_->{hint} } @{ $alone->{data}{denied} };
like $hint, qr/\Alimits\.processes, from 2 to (\d+), lets a program start others\z/, 'a denied fork: the hint';
my ($most) = $hint =~ /to (\d+)/;
envelope_ok($cb->run(code => 'import os; os.fork()', limits => { processes => $most + 0 }), 200, 0, 'a denied fork: the server allows what the hint advises');

# --- the size of a reply ------------------------------------------------------------------------------------------------

my $bytes = 100_000;
for (['text of short lines', "print('\"' * 9)", 9], ['control characters', 'import os; os.write(1, b"\x01" * 10)', 10]) {
    my ($name, $code, $each) = @$_;
    my $whole = $cb->run(code => "import sys\nfor _ in range($bytes // 10 - 1): $code", limits => { output_bytes => $bytes });
    if ($name eq 'control characters') {
        is $whole->{data}{status}, 'output_limit', "$name: an escape counts: status";
        ok $whole->{data}{truncated}, "$name: an escape counts: truncated";
        cmp_ok length $whole->{data}{stdout}, '<=', $bytes / 3, "$name: stdout is cut";
        cmp_ok length $whole->{body}, '<', 2 * $bytes + 2000, "$name: the reply has a most size";
    } else {
        is $whole->{data}{status}, 'ok', "$name: no text is cut for its escapes" or diag substr $whole->{body}, 0, 300;
    }
}
my $long = $cb->run(code => "import sys\nfor i in range(9000): print('line', i, file=sys.stderr)\nsys.exit(1)");
is length $long->{data}{stderr}, 88_890, 'a long stderr is complete' or diag length $long->{data}{stderr};
cmp_ok length $long->{data}{error}, '<', 17_000, 'a long stderr: the error has a part of it';
like $long->{data}{error}, qr/\Aprocess exited with code 1\nline 0\n.*\n\[\d+ bytes of stderr are left out here\]\nline \d+\n.*line 8999\n\z/s, 'a long stderr: the error has both ends';

$cb->finish;
done_testing;
