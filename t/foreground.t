# A runner in the foreground of a terminal: each line of its log has a time and a level, those of
# its zygotes included; and Ctrl-C, which reaches the whole process group, ends it without a
# complaint.
use strict;
use warnings;
use Cellblock qw(eventually prefix runner_program skip_all slurp write_configuration);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

skip_all('needs root') if $> != 0;
my $uids = bless {}, 'Cellblock'; # holds the range of uids
my $dir = tempdir('cellblock-foreground-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
write_configuration("$dir/conf", ['cellblock.conf', qr{socket = "[^"]*"}, "socket = \"$dir/run/runner.sock\""],
    ['cellblock.conf', qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'],
    ['cellblock.conf', qr/first_uid = 2000000/, 'first_uid = ' . $uids->free_uids],
    ['cellblock.conf', qr{^#?drivers = .*}m, 'drivers = "' . prefix() . '/lib/cellblock";'],
    map { ["languages/$_.conf", qr/idle_s = \d+;|\z/, 'idle_s = 0;'], ["languages/$_.conf", qr/imports = \[[^]]*\]/, 'imports = ["nosuchmodule"]'] } qw(python3 nodejs));
for my $file (glob "$dir/conf/languages/*.conf") {
    unlink $file if $file !~ m{/(?:python3|nodejs)\.conf\z};
}

my $pid = fork // die "fork: $!";
if (!$pid) {
    setpgrp 0, 0;
    $ENV{CELLBLOCK_TEST_DIR} = $dir;
    $SIG{$_} = 'DEFAULT' for qw(HUP INT PIPE QUIT TERM);
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$dir/log";
    open STDERR, '>&', \*STDOUT;
    exec(runner_program(), '-c', "$dir/conf/cellblock.conf") or POSIX::_exit(127);
}
# both languages serve
my $tested = eventually(60, sub {
    my $log = slurp("$dir/log") // '';
    return 1 if $log =~ /fatal|syntax error/;
    return $log =~ /python3: self-test: \d+ attacks/ && $log =~ /nodejs: self-test: \d+ attacks/;
});
ok $tested, 'it serves' or diag slurp("$dir/log");

my $at = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $log = slurp("$dir/log");
like $log, qr/^$at cellblock-runner\[\d+\] warning: python3: a zygote cannot import nosuchmodule: ModuleNotFoundError: /m, 'a module that Python does not find';
like $log, qr/^$at cellblock-runner\[\d+\] warning: nodejs: a zygote cannot require nosuchmodule: Cannot find module 'nosuchmodule'$/m, 'a module that Node does not find';

kill 'INT', -$pid;
my $ended = eventually(30, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
is $ended ? $? : 'still there', 0, 'Ctrl-C: it ends well';
my $left = eventually(10, sub { !((bless { dir => $dir }, 'Cellblock')->processes) });
ok $left, 'Ctrl-C: nothing is left';
kill 'KILL', -$pid if !$ended;

$log = slurp("$dir/log");
unlike $log, qr/died/, 'Ctrl-C: no process is said to have died';
is join("\n", grep { !/^$at cellblock-[\w-]+\[\d+\] (?:info|warning): / } split /\n/, $log), '', 'each line has a time and a level';
system runner_program(), '-c', "$dir/conf/cellblock.conf", '--clean';

done_testing;
