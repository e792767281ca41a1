# Compiled languages: what the compiler says, what is kept and for whom, limits of the compiler, and what a hostile one
# can hand over.
use strict;
use warnings;
use Cellblock qw(eventually json process_status);
use Test::More;
use Time::HiRes qw(time);

my $MB = 1 << 20;

# Two languages whose "compiler" is the program itself, a shell script: whatever a compiler might be brought to do.
# "made" runs what it leaves behind, "kept" gives that to a shell.
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
sub serves { is made("cp /bin/echo main # @_")->{status}, 'ok', "it serves after that: @_"; return }

# A C program that nobody has had compiled before.
my $count = 0;
sub fresh { return sprintf "/* %d of %d */\n%s", ++$count, $$, shift }

my $hello = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

# --- what the compiler says -----------------------------------------------------------------------------------------------

{
    my $d = c("int main(void)\n{\n\treturn nothing;\n}\n");
    is $d->{status}, 'compile_error', 'a mistake: compile_error';
    is $d->{exit_code}, 1, 'the exit code is the compiler\'s';
    is $d->{stdout}, '', 'no stdout';
    like $d->{stderr}, qr/^main\.c:3:\d+: error: .nothing. undeclared/m, 'stderr: the compiler, with the line';
    is $d->{error}, "process exited with code 1\nerror: compile error\n$d->{stderr}", 'error: all of it';
    is $d->{compile}{output}, '', 'and not a third time';
    ok !$d->{compile}{cached}, 'not cached';
    cmp_ok $d->{compile}{wall_ms}, '>', 0, 'it took time';
    ok !c("int main(void)\n{\n\treturn nothing;\n}\n")->{compile}{cached}, 'nor is a failure kept';

    $d = c("#include <stdio.h>\nint main(void)\n{\n\tint unused;\n\tputs(\"good\");\n}\n");
    is_deeply [@$d{qw(status error stderr stdout)}], ['ok', '', '', "good\n"], 'a warning is no failure';
    like $d->{compile}{output}, qr/^main\.c:4:\d+: warning: unused variable/m, 'and is told';

    $d = c("#include <stdlib.h>\nint main(void) { abort(); }\n");
    is_deeply [@$d{qw(status signal)}], ['signal', 'SIGABRT'], 'a program that compiles and fails is not the compiler\'s fault';
    $d = c("int f(void);\nint main(void) { return f(); }\n");
    like $d->{stderr}, qr/undefined reference to .f'/, 'the linker is heard, too';
    $d = made("echo out; echo err >&2; echo out again; exit 3");
    is $d->{stderr}, "out\nerr\nout again\n", 'both streams are one text, in order';
    is $d->{exit_code}, 3, 'with the exit code';
    is made("printf '\\377caf\\303\\251'; exit 1")->{stderr}, "\x{fffd}caf\x{e9}", 'what is no UTF-8 is replaced';
}

# --- preload ------------------------------------------------------------------------------------------------------------------

{
    my $code = fresh("#include <stdio.h>\nint main(void) { printf(\"%d\\n\", N); return 0; }\n");
    is c($code, preload => "#define N 42")->{stdout}, "42\n", 'the preload is compiled before the code';
    is c($code, preload => "#define N 43")->{stdout}, "43\n", 'another preload is another program';
    ok c($code, preload => "#define N 42")->{compile}{cached}, 'each is kept';
    is c($code)->{status}, 'compile_error', 'without it there is none';
    # Where one ends and the other begins is part of the source: a preload has its own line.
    my ($front, $back) = ("#include <stdio.h>", "\nint main(void) { printf(\"%d\\n\", __LINE__); return 0; }\n");
    is c($back, preload => $front)->{stdout}, "3\n", 'they do not share a line';
    is c("$front$back")->{stdout}, "2\n", 'the same text in one piece is another source';
}

# --- what is kept ----------------------------------------------------------------------------------------------------------------

{
    my $code = fresh("#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v) { int k = getchar(); "
            . "printf(\"%d %s %d %s\\n\", c, c > 1 ? v[1] : \"-\", k, getenv(\"WHO\") ? getenv(\"WHO\") : \"-\"); return 0; }\n");
    my $first = c($code);
    is_deeply [$first->{stdout}, $first->{compile}{cached}], ["1 - -1 -\n", JSON::PP::false], 'the first time it is compiled';
    my $second = c($code, args => ['x y'], stdin => 'A', env => { WHO => 'me' });
    is $second->{stdout}, "2 x y 65 me\n", 'args, stdin and environment are the run\'s';
    ok $second->{compile}{cached}, 'and need no compiler';
    is $second->{compile}{wall_ms} + $second->{compile}{cpu_ms}, 0, 'which has taken no time';
    my (%seen, $sent);
    $cb->many(8, sub { $sent++ < 64 ? { language => 'c', code => $code } : undef },
        sub { $seen{ $_[1]{data}{status} . ($_[1]{data}{compile}{cached} ? ' cached' : '') }++ });
    is_deeply \%seen, { 'ok cached' => 64 }, 'every worker finds it';
    ok !c("$code ")->{compile}{cached}, 'one more byte is another program';
    is kept('echo "echo kept" >main')->{stdout}, "kept\n", 'a source in one language';
    ok !made('echo "echo kept" >main')->{compile}{cached}, 'is another program in another';
}
{
    my $code = fresh($hello);
    my ($sent, %seen) = (0);
    $cb->many(8, sub { $sent++ < 8 ? { language => 'c', code => $code } : undef },
        sub { $seen{"$_[1]{data}{status} $_[1]{data}{stdout}"}++ });
    is_deeply \%seen, { "ok hello\n" => 8 }, 'the same source eight times at once';
}
{
    # 1 MiB is all that is kept here.
    my $big = sub { fresh("#include <stdio.h>\nchar data[$_[0]] = { 1 };\nint main(int c, char **v) { printf(\"%d\\n\", data[c - 1]); return 0; }\n") };
    my @programs = map { $big->(200_000) } 1 .. 8;
    ok !c($_)->{compile}{cached}, 'compiled' for @programs;
    ok c($programs[-1])->{compile}{cached}, 'the last is kept';
    my $again = c($programs[0]);
    is_deeply [$again->{stdout}, $again->{compile}{cached}], ["1\n", JSON::PP::false], 'the first has made room, and is compiled again';
    ok c($programs[0])->{compile}{cached}, 'and kept again';
    for (1 .. 8) {
        c($big->(150_000));
        ok c($programs[0])->{compile}{cached}, 'what is used is not what goes';
    }
    my $huge = $big->(3 * $MB);
    for (1, 2) {
        my $d = c($huge);
        is_deeply [$d->{stdout}, $d->{compile}{cached}], ["1\n", JSON::PP::false], 'larger than all that is kept: it runs all the same';
    }
    ok c($programs[0])->{compile}{cached}, 'and drives nothing out';
}

# --- limits of the compiler ----------------------------------------------------------------------------------------------------

my $bomb = join '', map { "#define A$_ A" . ($_ - 1) . " A" . ($_ - 1) . "\n" } 1 .. 40;
# name, how, what the error says
for (
    ['a macro that doubles forty times', sub { c("#define A0 1 +\n${bomb}int x = A40 1;\n") }, qr/(?:cpu|memory) limit exceeded.*/],
    ['an array without end', sub { c("int a[1u << 30] = { [0 ... (1 << 28)] = 1 };\nint main(void) { return a[1]; }\n") }, qr/(?:memory|cpu|disk) limit exceeded.*/],
    ['a file that includes itself', sub { c("#include \"main.c\"\n") }, qr/nothing more/],
    ['time', sub { kept('sleep 60') }, qr/timeout \(1000 ms\)/],
    ['CPU time', sub { made('while :; do :; done') }, qr/cpu limit exceeded \(1000 ms\)/],
    ['memory', sub { made('a=xxxxxxxx; while :; do a=$a$a; done') }, qr/memory limit exceeded \(67108864 bytes\)/],
    ['output', sub { made('while :; do echo more; done') }, qr/output limit exceeded \(65536 bytes\)/],
    ['disk', sub { made('cat /dev/zero >main; exit 1') }, qr/disk limit exceeded \(4194304 bytes\)/],
    ['processes', sub { made('for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 5 & done; exit 1') }, qr/process limit exceeded \(12\)/],
) {
    my ($what, $how, $says) = @$_;
    my $begin = time;
    my $d = $how->();
    is $d->{status}, 'compile_error', "limit: $what";
    like +(split /\n/, $d->{error})[1], qr/\Aerror: compile error(?:: $says)?\z/, "limit: $what: the error says which";
    cmp_ok time - $begin, '<', 15, "limit: $what: in time";
    cmp_ok length $d->{stderr}, '<=', $MB, "limit: $what: and no more text than allowed";
}
is kept('sleep .1; echo "echo it runs" >main', limits => { wall_ms => 60_000 })->{stdout}, "it runs\n", 'a run may ask for other limits';
is kept('sleep 2; echo "echo late" >main', limits => { wall_ms => 60_000 })->{status}, 'compile_error', 'which are not its compiler\'s';
serves('limits');

# --- what is handed over -------------------------------------------------------------------------------------------------------

# script, status, stdout; run with the argument "x"
for (
    ['cp /bin/echo main', 'ok', "x\n", 'a program'],
    ['cp /bin/echo a; ln a main', 'ok', "x\n", 'a hard link to a file of its own'],
    ['cp /bin/echo main; chmod 0 main', 'ok', "x\n", 'a file that nobody may read'],
    ['cp /bin/echo main; chmod 0 .', 'ok', "x\n", 'a folder that nobody may search'],
    ['exit 0', 'compile_error', '', 'nothing'],
    ['ln -s /bin/echo main', 'compile_error', '', 'a symbolic link to a program'],
    ['ln -s /proc/self/mem main', 'compile_error', '', 'a symbolic link to what the warden has'],
    ['cp /bin/echo a; ln -s a main', 'compile_error', '', 'a symbolic link beside it'],
    ['ln -s main main', 'compile_error', '', 'a symbolic link to itself'],
    ['ln /bin/echo main || ln /dev/zero main; exit 0', 'compile_error', '', 'a hard link out of the cell'],
    ['mkfifo main; exit 0', 'compile_error', '', 'a FIFO'],
    ['mkdir main; cp /bin/echo main/main', 'compile_error', '', 'a folder'],
    ['mknod main c 1 5; mknod main b 8 0; exit 0', 'compile_error', '', 'a device'],
    ['cp /bin/echo ../main 2>/dev/null; cp /bin/echo /tmp/main', 'compile_error', '', 'a program elsewhere'],
    ['truncate -s 1T main', 'compile_error', '', 'a file of a terabyte'],
    ['truncate -s 4194305 main', 'compile_error', '', 'a file above the limit'],
    [': >main', 'exit', '', 'an empty file'],
    ['head -c 3000000 /dev/zero >main', 'exit', '', 'zeros'],
    ['printf "#!/bin/echo no\n" >main', 'exit', '', 'a script, which is no program here'],
    ['head -c 2000 /bin/echo >main', 'exit|signal', '', 'a program that is cut off'],
    ['cp /bin/echo main; (sleep .2; cp /bin/false main) & exit 0', 'ok', "x\n", 'a program that a process left behind changes later'],
    ['cp /bin/echo main; setsid sleep 1000 & exit 0', 'ok', "x\n", 'a program, while a process left behind holds the output open'],
    ['cp /bin/echo main; i=0; while [ $i -lt 8 ]; do (while :; do rm -f main; ln -s /bin/true main; mv main b; cp /bin/echo main; done) & i=$((i+1)); done; exit 0',
        'ok|exit|signal|compile_error', undef, 'a name that changes all the time'],
    ['mkdir /tmp/d; cp /bin/echo /tmp/d/main; rm -rf /box/* ; cd /; ln -s /tmp/d /box/main', 'compile_error', '', 'a link to another folder'],
) {
    my ($script, $status, $stdout, $what) = @$_;
    my $begin = time;
    my $d = made($script, args => ['x']);
    like $d->{status}, qr/\A(?:$status)\z/, "left as output: $what" or diag json->encode($d);
    is $d->{stdout}, $stdout, "left as output: $what: what it prints" if defined $stdout;
    isnt $d->{error}, '', "left as output: $what: the error is there" if $status !~ /ok/;
    is $d->{exit_code}, -1, "left as output: $what: no exit code says that all is well" if $status eq 'compile_error';
    cmp_ok time - $begin, '<', 6, "left as output: $what: nothing waits for it";
}
serves('bad outputs');
is kept("printf 'echo \"\$1\" \"\$(ls)\"; id -u; head -c 19 main' >main", args => ['x'])->{stdout} =~ s/^\d+$/N/mr,
    "x main\nN\necho \"\$1\" \"\$(ls)\"; ", 'for an interpreter it is the only file of the working directory';
is kept('head -c 3000000 /dev/zero >main', limits => { disk_bytes => $MB })->{status} =~ /\A(?:exit|disk_limit)\z/, 1, 'and has to find room there';

# --- what a run can do with it ---------------------------------------------------------------------------------------------------

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
	list("/proc");
	printf("argv: %s\n", argv[0]);
	const char *self = (const char *)getauxval(AT_EXECFN);
	printf("self: %s %d %d\n", self, open(self, O_RDWR), open("/proc/self/exe", O_RDWR));
	for (int fd = 0; fd < 64; fd++) {
		char path[64];
		snprintf(path, sizeof path, "/dev/fd/%d", fd);
		if (open(path, O_WRONLY) >= 0)
			printf("opened %s\n", path);
	}
	return 0;
}
C
    is $d->{stdout}, "fds: 0\n/box:\n/tmp:\n/proc:\nargv: main\nself: /dev/fd/3 -1 -1\n" =~ s{/dev/fd/\d+}{$d->{stdout} =~ m{(/dev/fd/\d+)} ? $1 : ''}er,
        'a run sees neither source nor program, and has no descriptor of either' or diag $d->{stderr};

    # From outside: what is executed can be changed by nobody.
    my $waits = fresh("#include <pthread.h>\n#include <unistd.h>\nstatic void *f(void *p) { return sleep(60), p; }\n"
            . "int main(void) { pthread_t t; for (int i = 0; i < 22; i++) pthread_create(&t, 0, f, 0); sleep(60); return 0; }\n");
    my $socket = $cb->connect_raw($cb->run_bytes(language => 'c', code => $waits));
    my $pid = eventually(10, sub { $cb->find_by_threads(23) });
    ok $pid, 'a program runs';
    like readlink("/proc/$pid/exe") // '', qr{\A/memfd:program}, 'it is a memfd';
    open my $exe, '<', "/proc/$pid/exe" or die "/proc/$pid/exe: $!";
    my ($get_seals, $all) = (1034, 0x0f); # F_GET_SEALS; F_SEAL_SEAL, SHRINK, GROW and WRITE
    is fcntl($exe, $get_seals, 0) & $all, $all, 'sealed for good';
    close $socket;
    ok eventually(3, sub { !-d "/proc/$pid" }), 'and ends with its client';
}

# --- nothing passes from one cell to another -------------------------------------------------------------------------------------

{
    my $look = 'for f in /box/* /box/.[!.]* /tmp/* /tmp/.[!.]*; do [ ! -e "$f" ] || echo "$f"; done';
    my $d = kept("echo secret >/tmp/secret; echo secret >secret; echo '$look' >main");
    is $d->{stdout}, "/box/main\n", 'a compiler\'s files are gone when the run starts';
    for my $n (1 .. 6) {
        $d = made("$look; exit $n");
        is $d->{stderr}, "/box/main.sh\n", 'and when another compiler does';
    }
    $d = made('env; echo "args: $#"; cat; ls -l /dev/fd/ /proc/self/fd; exit 1', args => ['argument'], env => { VARIABLE => 'value' }, stdin => 'input');
    unlike $d->{stderr}, qr/argument|VARIABLE|input/, 'arguments, environment and input of a run are not its compiler\'s';
    like $d->{stderr}, qr/^args: 0$/m, 'it has its own';
}

# --- a source that would like to read more ----------------------------------------------------------------------------------------

for my $file ('/etc/passwd', '/etc/shadow', '/proc/self/environ', '/proc/1/maps', '/box/../etc/passwd', '/box/../../../etc/hostname', '../../root/.profile',
    '/tmp/../etc/hosts', '/sys/kernel/notes', '/run/cellblock/runner.sock', '/dev/mem', "$cb->{dir}/api_key")
{
    my $d = c("#include \"$file\"\nint main(void) { return 0; }\n");
    is $d->{status}, 'compile_error', "#include \"$file\"";
    like $d->{stderr}, qr/main\.c:1:\d+: fatal error: \Q$file\E: No such file or directory/, 'is not there';
    $d = c("__asm__(\".incbin \\\"$file\\\"\");\nint main(void) { return 0; }\n");
    like $d->{stderr}, qr/file not found: \Q$file\E/, 'nor is it for the assembler';
}
like c("#include \"/dev/zero\"\nint main(void) { return 0; }\n")->{status}, qr/\Acompile_error\z/, 'a device that has no end';
is c("#if __has_include(\"/etc/passwd\") || __has_include(\"/proc/version\")\n#error seen\n#endif\nint main(void) { return 0; }\n")->{status}, 'ok',
    'and none of it can be asked for';

# --- clients, workers and wardens that go ------------------------------------------------------------------------------------------

# A compiler that waits, known by a number; returns its client's socket and its pid.
my $number = 7000 + $$ % 1000;
sub waiting_compiler {
    my $seconds = ++$number;
    my $socket = $cb->connect_raw($cb->run_bytes(language => 'made', code => "exec sleep $seconds"));
    my $find = sub { my %mine = $cb->processes; (grep { $mine{$_}{cmdline} =~ /\Asleep $seconds / } keys %mine)[0] };
    my $pid = eventually(10, $find);
    ok $pid, 'a compiler is seen';
    return ($socket, $pid);
}
{
    my ($socket, $pid) = waiting_compiler();
    close $socket;
    ok eventually(2, sub { !-d "/proc/$pid" }), 'a client goes: its compiler ends';
}
{
    my ($socket, $pid) = waiting_compiler();
    my @workers = $cb->pids('worker');
    kill 9, @workers;
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the workers die: the compiler ends';
    my $r = $cb->read_reply($socket);
    is_deeply [$r->{status}, $r->{json}{code}], [503, -503], 'and its client is told';
    ok defined $cb->healthy_within(5), 'healthy after that';
}
{
    my ($socket, $pid) = waiting_compiler();
    kill 9, $cb->pids('warden');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the wardens die: the compiler ends';
    my $r = $cb->read_reply($socket);
    like "$r->{status} $r->{json}{code}", qr/\A(50[03]) -\1\z/, 'and its client is told';
    ok eventually(5, sub { my $r = $cb->run(language => 'made', code => 'cp /bin/echo main'); $r->{status} == 200 && $r->{data}{status} eq 'ok' }), 'it compiles again within 5 s';
}
{
    # Wardens die at any moment, also between a compiler's end and the collection of what it has made.
    my ($sent, $answers, $next, @strange) = (0, 0, time);
    $cb->many(6, sub {
        return if $sent >= 200;
        $sent++;
        return { language => 'made', code => "cp /bin/echo main # $sent of $$", args => ["$sent"], number => $sent };
    }, sub {
        my ($fields, $r) = @_;
        $answers++;
        # Not before something was right again: on a slow machine wardens would be killed as fast as they come up.
        if (time > $next && $r->{status} == 200) { kill 9, $cb->pids('warden'); $next = time + .3 }
        my $fine = $r->{status} == 200 ? $r->{data}{stdout} eq "$fields->{number}\n" : $r->{status} =~ /\A50[03]\z/ && $r->{json}{code} == -$r->{status};
        push @strange, "$r->{status} " . substr $r->{body}, 0, 300 if !$fine;
    }, 60);
    is $answers, 200, 'wardens die again and again: every client has its answer';
    is join("\n", @strange), '', 'which is right, or an error in the envelope';
    ok defined $cb->healthy_within(5), 'healthy after that';
    ok eventually(5, sub { made('cp /bin/echo main', args => ['x'])->{stdout} eq "x\n" }), 'it compiles again';
}

# --- a thousand runs ---------------------------------------------------------------------------------------------------------------

{
    my ($broker) = $cb->pids('broker');
    my $fds = sub { my @all = glob "/proc/$broker/fd/*"; return scalar @all };
    my @programs = map { fresh($hello) } 1 .. 4;
    c($_) for @programs;
    my $thousand = sub {
        my ($sent, %seen) = (0);
        $cb->many(8, sub { $sent++ < 1000 ? { language => 'c', code => $programs[$sent % 4] } : undef },
            sub { $seen{ ($_[1]{data}{stdout} // $_[1]{body}) . ($_[1]{data}{compile}{cached} ? 'cached' : 'not') }++ });
        return \%seen;
    };
    my $processes = $cb->processes_at_rest;
    my $before = $fds->();
    is_deeply $thousand->(), { "hello\ncached" => 1000 }, 'a thousand runs of what was compiled before';
    is $cb->processes_at_rest, $processes, 'leave no process';
    is $fds->(), $before, 'and no descriptor behind';
    made("exit 1 # $_") for 1 .. 40;
    made('mkfifo main') for 1 .. 40;
    $cb->processes_at_rest;
    is $fds->(), $before, 'nor do compilers that fail';
    for my $pid ($cb->pids('warden')) {
        my @all = glob "/proc/$pid/fd/*";
        cmp_ok scalar @all, '<', 64, "warden $pid has few descriptors: one for each of 32 cells, and its own";
    }
}

$cb->finish;
done_testing;
