# Compiled languages: the compiler's messages, the cache of compiled programs, the compiler's
# limits, and the output of a hostile compiler.
use strict;
use warnings;
use Cellblock qw(eventually json process_status);
use Test::More;
use Time::HiRes qw(time);

my $MB = 1 << 20;

# Two languages whose "compiler" is the request's code, a shell script, so that it can do anything
# that a hostile compiler could do. "made" executes its output, "kept" gives the output to a shell.
sub language {
    my ($name, $command, $run, $limits) = @_;
    return qq(name = "$name"; main_file = "main.sh"; start = "cold"; policy = "program"; $run
        limits = { processes = { default = 8; maximum = 8; }; };
        compile = { command = $command; output = "main"; limits = { $limits }; };
        version = ["/usr/bin/bash", "--version"]; root = ["/bin", "/lib", "?/lib64", "/usr/bin", "/usr/lib"];\n);
}
my $small = 'memory_bytes = 67108864; disk_bytes = 4194304; processes = 12; output_bytes = 65536;';
my $cb = Cellblock->start(own => 1, args => ['--workers', 8], allow => [qr/\[alert\].*exited on signal 9/],
    conf => [
        ['cellblock.conf', qr/compiled_bytes = \d+/, 'compiled_bytes = 1048576'],
        ['languages/c.conf', qr/output = "main";/, 'output = "main"; limits = { wall_ms = 20000; cpu_ms = 2000; memory_bytes = 268435456; };'],
        ['languages/perl.conf', qr/\A.*\z/s, language('made', '["/bin/sh", "main.sh"]', '', "wall_ms = 20000; cpu_ms = 1000; $small")],
        ['languages/php.conf', qr/\A.*\z/s, language('kept', '["/bin/sh", "main.sh"]', 'run = ["/bin/sh", "main"];', "wall_ms = 1000; $small")],
    ]);

sub data { my ($r) = @_; diag "$r->{status} $r->{body}" if $r->{status} != 200; return $r->{data} // {} }
sub c    { return data($cb->run(language => 'c', code => @_)) }
sub made { return data($cb->run(language => 'made', code => @_)) }
sub kept { return data($cb->run(language => 'kept', code => @_)) }
sub serves { is made("cp /bin/echo main # @_")->{status}, 'ok', "the service works after: @_"; return }

# A C program that has not been compiled before.
my $count = 0;
sub fresh { return sprintf "/* %d of %d */\n%s", ++$count, $$, shift }

my $hello = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

# --- messages of the compiler -----------------------------------------------------------------------------------------------

{
    my $d = c("int main(void)\n{\n\treturn nothing;\n}\n");
    is $d->{status}, 'compile_error', 'a mistake: the status is compile_error';
    is $d->{exit_code}, 1, 'a mistake: the exit code is that of the compiler';
    is $d->{stdout}, '', 'a mistake: stdout is empty';
    like $d->{stderr}, qr/^main\.c:3:\d+: error: .nothing. undeclared/m, 'a mistake: stderr has the compiler\'s message with the line';
    is $d->{error}, "process exited with code 1\nerror: compile error\n$d->{stderr}", 'a mistake: error has the whole message';
    is $d->{compile}{output}, '', 'a mistake: compile.output does not repeat the message';
    ok !$d->{compile}{cached}, 'a mistake: the answer is not cached';
    cmp_ok $d->{compile}{wall_ms}, '>', 0, 'a mistake: the compiler\'s wall time is reported';
    ok !c("int main(void)\n{\n\treturn nothing;\n}\n")->{compile}{cached}, 'a mistake: the failure is not cached';

    $d = c("#include <stdio.h>\nint main(void)\n{\n\tint unused;\n\tputs(\"good\");\n}\n");
    is_deeply [@$d{qw(status error stderr stdout)}], ['ok', '', '', "good\n"], 'a program with a warning runs';
    like $d->{compile}{output}, qr/^main\.c:4:\d+: warning: unused variable/m, 'a warning is in compile.output';

    $d = c("#include <stdlib.h>\nint main(void) { abort(); }\n");
    is_deeply [@$d{qw(status signal)}], ['signal', 'SIGABRT'], 'a program that compiles and aborts has the status signal';
    $d = c("int f(void);\nint main(void) { return f(); }\n");
    like $d->{stderr}, qr/undefined reference to .f'/, 'stderr has the linker\'s messages';
    $d = made("echo out; echo err >&2; echo out again; exit 3");
    is $d->{stderr}, "out\nerr\nout again\n", 'both streams of the compiler are one text, in order';
    is $d->{exit_code}, 3, 'the exit code of the compiler is reported';
    is made("printf '\\377caf\\303\\251'; exit 1")->{stderr}, "\x{fffd}caf\x{e9}", 'invalid UTF-8 from the compiler is replaced';
}

# --- preload ------------------------------------------------------------------------------------------------------------------

{
    my $code = fresh("#include <stdio.h>\nint main(void) { printf(\"%d\\n\", N); return 0; }\n");
    is c($code, preload => "#define N 42")->{stdout}, "42\n", 'the preload is compiled before the code';
    is c($code, preload => "#define N 43")->{stdout}, "43\n", 'another preload is another program';
    ok c($code, preload => "#define N 42")->{compile}{cached}, 'each combination of preload and code is cached';
    is c($code)->{status}, 'compile_error', 'the cache does not add a preload to code without one';
    # The border between preload and code is part of the source: a preload has a line of its own.
    my ($front, $back) = ("#include <stdio.h>", "\nint main(void) { printf(\"%d\\n\", __LINE__); return 0; }\n");
    is c($back, preload => $front)->{stdout}, "3\n", 'preload and code do not share a line';
    is c("$front$back")->{stdout}, "2\n", 'the same text without a preload is another source';
}

# --- the cache ----------------------------------------------------------------------------------------------------------------

{
    my $code = fresh("#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v) { int k = getchar(); "
            . "printf(\"%d %s %d %s\\n\", c, c > 1 ? v[1] : \"-\", k, getenv(\"WHO\") ? getenv(\"WHO\") : \"-\"); return 0; }\n");
    my $first = c($code);
    is_deeply [$first->{stdout}, $first->{compile}{cached}], ["1 - -1 -\n", JSON::PP::false], 'the first run of a source is compiled';
    my $second = c($code, args => ['x y'], stdin => 'A', env => { WHO => 'me' });
    is $second->{stdout}, "2 x y 65 me\n", 'a cached program gets the args, stdin and environment of the run';
    ok $second->{compile}{cached}, 'the second run of a source is cached';
    is $second->{compile}{wall_ms} + $second->{compile}{cpu_ms}, 0, 'a cached run has no compile time';
    my (%seen, $sent);
    $cb->many(8, sub { $sent++ < 64 ? { language => 'c', code => $code } : undef },
        sub { $seen{ $_[1]{data}{status} . ($_[1]{data}{compile}{cached} ? ' cached' : '') }++ });
    is_deeply \%seen, { 'ok cached' => 64 }, 'every worker finds the cached program';
    ok !c("$code ")->{compile}{cached}, 'a source with one more byte is compiled';
    is kept('echo "echo kept" >main')->{stdout}, "kept\n", 'a source runs in one language';
    ok !made('echo "echo kept" >main')->{compile}{cached}, 'the same source in another language is compiled';
}
{
    my $code = fresh($hello);
    my ($sent, %seen) = (0);
    $cb->many(8, sub { $sent++ < 8 ? { language => 'c', code => $code } : undef },
        sub { $seen{"$_[1]{data}{status} $_[1]{data}{stdout}"}++ });
    is_deeply \%seen, { "ok hello\n" => 8 }, 'eight simultaneous requests with the same source succeed';
}
{
    # The cache has 1 MiB here.
    my $big = sub { fresh("#include <stdio.h>\nchar data[$_[0]] = { 1 };\nint main(int c, char **v) { printf(\"%d\\n\", data[c - 1]); return 0; }\n") };
    my @programs = map { $big->(200_000) } 1 .. 8;
    ok !c($_)->{compile}{cached}, 'a new program is compiled' for @programs;
    ok c($programs[-1])->{compile}{cached}, 'the last program is cached';
    my $again = c($programs[0]);
    is_deeply [$again->{stdout}, $again->{compile}{cached}], ["1\n", JSON::PP::false], 'the first program was evicted, and is compiled again';
    ok c($programs[0])->{compile}{cached}, 'the first program is cached again';
    for (1 .. 8) {
        c($big->(150_000));
        ok c($programs[0])->{compile}{cached}, 'the least recently used program is evicted';
    }
    my $huge = $big->(3 * $MB);
    for (1, 2) {
        my $d = c($huge);
        is_deeply [$d->{stdout}, $d->{compile}{cached}], ["1\n", JSON::PP::false], 'a program larger than the cache runs';
    }
    ok c($programs[0])->{compile}{cached}, 'a program larger than the cache evicts nothing';
}

# --- limits of the compiler ----------------------------------------------------------------------------------------------------

my $bomb = join '', map { "#define A$_ A" . ($_ - 1) . " A" . ($_ - 1) . "\n" } 1 .. 40;
# name, function, pattern of the error
for (
    ['a macro that doubles forty times', sub { c("#define A0 1 +\n${bomb}int x = A40 1;\n") }, qr/(?:cpu|memory) limit exceeded.*/],
    ['an array without end', sub { c("int a[1u << 30] = { [0 ... (1 << 28)] = 1 };\nint main(void) { return a[1]; }\n") }, qr/(?:memory|cpu|disk) limit exceeded.*/],
    ['a file that includes itself', sub { c("#include \"main.c\"\n") }, qr/nothing more/],
    ['time', sub { kept('sleep 60') }, qr/timeout \(1000 ms\), which is 1 s/],
    ['CPU time', sub { made('while :; do :; done') }, qr/cpu limit exceeded \(1000 ms\), which is 1 s/],
    ['memory', sub { made('a=xxxxxxxx; while :; do a=$a$a; done') }, qr/memory limit exceeded \(67108864 bytes\), which is 64 MiB/],
    ['output', sub { made('while :; do echo more; done') }, qr/output limit exceeded \(65536 bytes\), which is 64 KiB/],
    ['disk', sub { made('cat /dev/zero >main; exit 1') }, qr/disk limit exceeded \(4194304 bytes\), which is 4 MiB/],
    ['processes', sub { made('for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 5 & done; exit 1') }, qr/process limit exceeded \(12\)/],
) {
    my ($what, $how, $says) = @$_;
    my $begin = time;
    my $d = $how->();
    is $d->{status}, 'compile_error', "limit: $what";
    like +(split /\n/, $d->{error})[1], qr/\Aerror: compile error(?:: $says)?\z/, "limit: $what: the error names the limit";
    cmp_ok time - $begin, '<', 15, "limit: $what: the answer comes within 15 s";
    cmp_ok length $d->{stderr}, '<=', $MB, "limit: $what: stderr is within the limit";
}
is kept('sleep .1; echo "echo it runs" >main', limits => { wall_ms => 60_000 })->{stdout}, "it runs\n", 'a run may have other limits than its compiler';
is kept('sleep 2; echo "echo late" >main', limits => { wall_ms => 60_000 })->{status}, 'compile_error', 'the limits of a run do not apply to its compiler';
serves('limits');

# --- the compiler's output -------------------------------------------------------------------------------------------------------

# script, status, stdout; run with the argument "x"
for (
    ['cp /bin/echo main', 'ok', "x\n", 'a program'],
    ['cp /bin/echo a; ln a main', 'ok', "x\n", 'a hard link to a file of its own'],
    ['cp /bin/echo main; chmod 0 main', 'ok', "x\n", 'a file without any permission'],
    ['cp /bin/echo main; chmod 0 .', 'ok', "x\n", 'a directory without any permission'],
    ['exit 0', 'compile_error', '', 'no file'],
    ['ln -s /bin/echo main', 'compile_error', '', 'a symbolic link to a program'],
    ['ln -s /proc/self/mem main', 'compile_error', '', 'a symbolic link into /proc'],
    ['cp /bin/echo a; ln -s a main', 'compile_error', '', 'a symbolic link to a file of its own'],
    ['ln -s main main', 'compile_error', '', 'a symbolic link to itself'],
    ['ln /bin/echo main || ln /dev/zero main; exit 0', 'compile_error', '', 'a hard link out of the cell'],
    ['mkfifo main; exit 0', 'compile_error', '', 'a FIFO'],
    ['mkdir main; cp /bin/echo main/main', 'compile_error', '', 'a directory'],
    ['mknod main c 1 5; mknod main b 8 0; exit 0', 'compile_error', '', 'a device'],
    ['cp /bin/echo ../main 2>/dev/null; cp /bin/echo /tmp/main', 'compile_error', '', 'a program elsewhere'],
    ['truncate -s 1T main', 'compile_error', '', 'a file of a terabyte'],
    ['truncate -s 4194305 main', 'compile_error', '', 'a file above the limit'],
    [': >main', 'exit', '', 'an empty file'],
    ['head -c 3000000 /dev/zero >main', 'exit', '', 'zeros'],
    ['printf "#!/bin/cat\n" >main', 'exit', '', 'a script, which its interpreter cannot read'],
    ['head -c 2000 /bin/echo >main', 'exit|signal', '', 'a truncated program'],
    ['cp /bin/echo main; (sleep .2; cp /bin/false main) & exit 0', 'ok', "x\n", 'a program that a process left behind changes later'],
    ['cp /bin/echo main; setsid sleep 1000 & exit 0', 'ok', "x\n", 'a program, while a process left behind holds the output open'],
    ['cp /bin/echo main; i=0; while [ $i -lt 8 ]; do (while :; do rm -f main; ln -s /bin/true main; mv main b; cp /bin/echo main; done) & i=$((i+1)); done; exit 0',
        'ok|exit|signal|compile_error', undef, 'a name that changes without end'],
    ['mkdir /tmp/d; cp /bin/echo /tmp/d/main; rm -rf /box/* ; cd /; ln -s /tmp/d /box/main', 'compile_error', '', 'a link to another directory'],
) {
    my ($script, $status, $stdout, $what) = @$_;
    my $begin = time;
    my $d = made($script, args => ['x']);
    like $d->{status}, qr/\A(?:$status)\z/, "left as output: $what" or diag json->encode($d);
    is $d->{stdout}, $stdout, "left as output: $what: stdout is right" if defined $stdout;
    isnt $d->{error}, '', "left as output: $what: there is an error" if $status !~ /ok/;
    is $d->{exit_code}, -1, "left as output: $what: the exit code is -1" if $status eq 'compile_error';
    cmp_ok time - $begin, '<', 6, "left as output: $what: the answer comes within 6 s";
}
serves('bad outputs');
is kept("printf 'echo \"\$1\" \"\$(ls)\"; id -u; head -c 19 main' >main", args => ['x'])->{stdout} =~ s/^\d+$/N/mr,
    "x main\nN\necho \"\$1\" \"\$(ls)\"; ", 'an interpreter finds the compiler\'s output as the only file';
is kept('head -c 3000000 /dev/zero >main', limits => { disk_bytes => $MB })->{status} =~ /\A(?:exit|disk_limit)\z/, 1, 'the compiler\'s output counts towards the disk limit of the run';

# --- access of a run to its program ---------------------------------------------------------------------------------------------------

{
    my $d = c(fresh(<<'C'));
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>
static void list(const char *path)
{
	DIR *dir = opendir(path);
	printf("%s:", path);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.')
			printf(" %s", e->d_name);
	puts("");
}
int main(int argc, char **argv)
{
	int open_fds = 0;
	for (int fd = 3; fd < 1024; fd++)
		open_fds += fcntl(fd, F_GETFD) >= 0;
	printf("fds: %d\n", open_fds);
	list("/box");
	list("/tmp");
	printf("argv: %s\n", argv[0]);
	const char *self = (const char *)getauxval(AT_EXECFN);
	printf("self: %s %d %d\n", self, open(self, O_RDWR), open("/proc/self/exe", O_RDWR));
	for (int fd = 0; fd < 64; fd++) {
		char path[64], leads_to[64] = "";
		snprintf(path, sizeof path, "/dev/fd/%d", fd);
		if (readlink(path, leads_to, sizeof leads_to - 1) > 0 && strncmp(leads_to, "/memfd", 6) == 0)
			printf("opened %s\n", path);
	}
	return 0;
}
C
    like $d->{stdout}, qr{\Afds: 0\n/box:\n/tmp:\nargv: main\nself: (?:/dev/fd/\d+|/cellblock/main)? -1 -1\n\z},
        'a run sees neither its source nor its program, and has no descriptor of them' or diag $d->{stderr};

    # From outside: the executed file cannot be changed.
    my $waits = fresh("#include <pthread.h>\n#include <unistd.h>\nstatic void *f(void *p) { return sleep(60), p; }\n"
            . "int main(void) { pthread_t t; for (int i = 0; i < 22; i++) pthread_create(&t, 0, f, 0); sleep(60); return 0; }\n");
    my $socket = $cb->connect_raw($cb->run_bytes(language => 'c', code => $waits));
    my $pid = eventually(10, sub { $cb->find_by_threads(23) });
    ok $pid, 'a compiled program runs';
    like readlink("/proc/$pid/exe") // '', qr{\A/memfd:program}, 'its executable is a memfd';
    open my $exe, '<', "/proc/$pid/exe" or die "/proc/$pid/exe: $!";
    my ($get_seals, $all) = (1034, 0x0f); # F_GET_SEALS; F_SEAL_SEAL, SHRINK, GROW and WRITE
    is fcntl($exe, $get_seals, 0) & $all, $all, 'its executable is sealed';
    close $socket;
    ok eventually(3, sub { !-d "/proc/$pid" }), 'a compiled program ends when its client disconnects';
}

# --- nothing passes from one cell to another -------------------------------------------------------------------------------------

{
    my $look = 'for f in /box/* /box/.[!.]* /tmp/* /tmp/.[!.]*; do [ ! -e "$f" ] || echo "$f"; done';
    my $d = kept("echo secret >/tmp/secret; echo secret >secret; echo '$look' >main");
    is $d->{stdout}, "/box/main\n", 'the files of a compiler are gone when the run starts';
    for my $n (1 .. 6) {
        $d = made("$look; exit $n");
        is $d->{stderr}, "/box/main.sh\n", 'the files of a compiler are gone when another compiler starts';
    }
    $d = made('env; echo "args: $#"; cat; ls -l /dev/fd/ /proc/self/fd; exit 1', args => ['argument'], env => { VARIABLE => 'value' }, stdin => 'input');
    unlike $d->{stderr}, qr/argument|VARIABLE|input/, 'a compiler does not get the arguments, environment and input of the run';
    like $d->{stderr}, qr/^args: 0$/m, 'a compiler has no arguments beyond its command';
}

# --- a source that includes files of the host ----------------------------------------------------------------------------------------

for my $file ('/etc/shadow', '/proc/1/environ', '/proc/1/maps', '/proc/kallsyms', '/box/../etc/shadow', '/box/../../../etc/gshadow', '../../root/.profile',
    '/tmp/../etc/fstab', '/sys/kernel/notes', '/run/cellblock/runner.sock', '/dev/mem', "$cb->{dir}/api_key")
{
    my $d = c("#include \"$file\"\nint main(void) { return 0; }\n");
    is $d->{status}, 'compile_error', "#include \"$file\" fails";
    like $d->{stderr}, qr/main\.c:1:\d+: fatal error: \Q$file\E: No such file or directory/, "#include \"$file\": no such file";
    $d = c("__asm__(\".incbin \\\"$file\\\"\");\nint main(void) { return 0; }\n");
    like $d->{stderr}, qr/file not found: \Q$file\E/, ".incbin \"$file\": no such file";
}
# /etc is that of all cells, but for their users.
for my $file ('/etc/nsswitch.conf', '/box/../../../etc/hostname', '/tmp/../etc/hosts') {
    my $d = c("#include <stdio.h>\n__asm__(\".globl text\\ntext: .incbin \\\"$file\\\"\\n.byte 0\");\nextern char text[]; int main(void) { fputs(text, stdout); }\n");
    is $d->{stdout}, $cb->run(language => 'python3', code => "print(open('$file').read(), end='')")->{data}{stdout}, ".incbin \"$file\": the file of the cells";
    unlike $d->{stdout}, qr/^daemon:/m, ".incbin \"$file\": no user of the host";
}
like c("#include \"/dev/zero\"\nint main(void) { return 0; }\n")->{status}, qr/\Acompile_error\z/, '#include of an endless device fails';
is c("#if __has_include(\"/etc/shadow\") || __has_include(\"/proc/cmdline\")\n#error seen\n#endif\nint main(void) { return 0; }\n")->{status}, 'ok',
    '__has_include finds no file of the host';

# --- clients disconnect, workers and wardens are killed ------------------------------------------------------------------------------------------

# A compiler that waits. A number in its command line identifies it. Returns its client's socket and
# its pid.
my $number = 7000 + $$ % 1000;
sub waiting_compiler {
    my $seconds = ++$number;
    my $socket = $cb->connect_raw($cb->run_bytes(language => 'made', code => "exec sleep $seconds"));
    my $find = sub { my %mine = $cb->processes; (grep { $mine{$_}{cmdline} =~ /\Asleep $seconds / } keys %mine)[0] };
    my $pid = eventually(10, $find);
    ok $pid, 'a compiler runs';
    return ($socket, $pid);
}
{
    my ($socket, $pid) = waiting_compiler();
    close $socket;
    ok eventually(2, sub { !-d "/proc/$pid" }), 'a client disconnects: its compiler ends';
}
{
    my ($socket, $pid) = waiting_compiler();
    my @workers = $cb->pids('worker');
    kill 9, @workers;
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the workers are killed: the compiler ends';
    my $r = $cb->read_reply($socket);
    is_deeply [$r->{status}, $r->{json}{code}], [500, -500], 'the workers are killed: the client gets 500';
    ok defined $cb->healthy_within(5), 'the service is healthy again';
}
{
    my ($socket, $pid) = waiting_compiler();
    kill 9, $cb->pids('warden');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the wardens are killed: the compiler ends';
    my $r = $cb->read_reply($socket);
    like "$r->{status} $r->{json}{code}", qr/\A(50[03]) -\1\z/, 'the wardens are killed: the client gets 500 or 503';
    ok eventually(5, sub { my $r = $cb->run(language => 'made', code => 'cp /bin/echo main'); $r->{status} == 200 && $r->{data}{status} eq 'ok' }), 'the wardens are killed: the language compiles again within 5 s';
}
{
    # Wardens are killed at any moment, also between a compiler's end and the extraction of its
    # output.
    my ($sent, $answers, $next, @strange) = (0, 0, time);
    $cb->many(6, sub {
        return if $sent >= 200;
        $sent++;
        return { language => 'made', code => "cp /bin/echo main # $sent of $$", args => ["$sent"], number => $sent };
    }, sub {
        my ($fields, $r) = @_;
        $answers++;
        # Only after a success: on a slow machine wardens would be killed as fast as they start.
        if (time > $next && $r->{status} == 200) { kill 9, $cb->pids('warden'); $next = time + .3 }
        my $fine = $r->{status} == 200 ? $r->{data}{stdout} eq "$fields->{number}\n" : $r->{status} =~ /\A50[03]\z/ && $r->{json}{code} == -$r->{status};
        push @strange, "$r->{status} " . substr $r->{body}, 0, 300 if !$fine;
    }, 60);
    is $answers, 200, 'wardens are killed again and again: every client gets an answer';
    is join("\n", @strange), '', 'wardens are killed again and again: every answer is right or an error in the envelope';
    ok defined $cb->healthy_within(5), 'the service is healthy again';
    ok eventually(5, sub { made('cp /bin/echo main', args => ['x'])->{stdout} eq "x\n" }), 'the language compiles again';
}

# --- a thousand runs ---------------------------------------------------------------------------------------------------------------

{
    my ($broker) = $cb->pids('broker');
    my $fds = sub { my @all = glob "/proc/$broker/fd/*"; return scalar @all };
    my @programs = map { fresh($hello) } 1 .. 4;
    c($_) for @programs;
    # Each cell keeps its network namespace from its first run on, so all of them have one first.
    my $more = 32;
    $cb->many(32, sub { $more-- > 0 ? { code => 'import time; time.sleep(2)' } : undef }, sub { });
    my $thousand = sub {
        my ($sent, %seen) = (0);
        $cb->many(8, sub { $sent++ < 1000 ? { language => 'c', code => $programs[$sent % 4] } : undef },
            sub { $seen{ ($_[1]{data}{stdout} // $_[1]{body}) . ($_[1]{data}{compile}{cached} ? 'cached' : 'not') }++ }, 300);
        return \%seen;
    };
    my $processes = $cb->processes_at_rest;
    my $before = $fds->();
    is_deeply $thousand->(), { "hello\ncached" => 1000 }, 'a thousand runs of cached programs succeed';
    is $cb->processes_settle($processes), $processes, 'a thousand runs leave no process';
    is $fds->(), $before, 'a thousand runs leave no descriptor in the broker';
    made("exit 1 # $_") for 1 .. 40;
    made('mkfifo main') for 1 .. 40;
    $cb->processes_at_rest;
    is $fds->(), $before, 'failing compilers leave no descriptor in the broker';
    for my $pid ($cb->pids('warden')) {
        my @all = glob "/proc/$pid/fd/*";
        cmp_ok scalar @all, '<', 64, "warden $pid has fewer than 64 descriptors";
    }
}

$cb->finish;
done_testing;
