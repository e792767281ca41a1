# The /etc of cells: the names of users and hosts, the time zone, and files of the host.
use strict;
use warnings;
use Cellblock;
use Test::More;

my $cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/#timezone = "Etc\/UTC";/, 'timezone = "Asia/Tokyo";']]);
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

sub run_of {
    my ($language, $code, %field) = @_;
    my $r = $cb->run(language => $language, code => $code, %field);
    return ($r->{data}{stdout} // '') . ($r->{data}{stderr} // $r->{body});
}

my %whoami = (
    bash    => 'echo $(id -un) $USER $LOGNAME $HOME $SHELL $(getent passwd $(id -u) | cut -d: -f6,7)',
    python3 => 'import pwd, os; p = pwd.getpwuid(os.getuid()); e = os.environ; print(p.pw_name, e["USER"], e["LOGNAME"], e["HOME"], e["SHELL"], p.pw_dir + ":" + p.pw_shell)',
    perl    => 'my @p = getpwuid($<); print "$p[0] @ENV{qw(USER LOGNAME HOME SHELL)} $p[7]:$p[8]\n"',
    nodejs  => 'const u = require("os").userInfo(), e = process.env; console.log(u.username, e.USER, e.LOGNAME, e.HOME, e.SHELL, u.homedir + ":" + u.shell)',
    php     => '<?php $p = posix_getpwuid(posix_getuid()); $e = getenv(); echo "$p[name] $e[USER] $e[LOGNAME] $e[HOME] $e[SHELL] $p[dir]:$p[shell]\n";',
    ruby    => 'require "etc"; p = Etc.getpwuid; e = ENV; puts [p.name, e["USER"], e["LOGNAME"], e["HOME"], e["SHELL"], p.dir + ":" + p.shell].join(" ")',
    c       => "#include <pwd.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\nint main(void) { struct passwd *p = getpwuid(getuid()); "
        . 'printf("%s %s %s %s %s %s:%s\n", p->pw_name, getenv("USER"), getenv("LOGNAME"), getenv("HOME"), getenv("SHELL"), p->pw_dir, p->pw_shell); }',
);
for my $language (sort keys %whoami) {
  SKIP: {
        skip "$language is not available", 1 if !$available{$language};
        is run_of($language, $whoami{$language}), "user user user /box /bin/sh /box:/bin/sh\n", "$language: a cell's user has a name";
    }
}

# Each cell has a uid of its own, and the name leads to it: so programs that look a user up by name
# are right in every cell.
my %by_name = (
    bash    => 'set -e; touch f; [ "$(id -u)" = "$(id -u user)" ]; chown user f; chown user:user f; [ "$(stat -c %U:%G f)" = user:user ]; '
        . '[ "$(find . -user user -name f)" = ./f ]; [ -O f ]; echo ~user $(whoami)',
    python3 => 'import grp, os, pwd, shutil; open("f", "w").close(); shutil.chown("f", "user", "user"); '
        . 'assert (pwd.getpwnam("user").pw_uid, grp.getgrnam("user").gr_gid) == (os.getuid(), os.getgid()); import getpass; print(os.path.expanduser("~user"), getpass.getuser())',
    perl    => 'open F, ">", "f"; my ($u, $g) = (getpwnam("user"))[2, 3]; die "$u $<" if $u != $< || chown($u, $g, "f") != 1; print((getpwnam("user"))[7], " user\n")',
    nodejs  => 'const { uid, username, homedir } = require("os").userInfo(); if (uid !== process.getuid()) throw uid; console.log(homedir, username)',
);
for my $language (sort keys %by_name) {
  SKIP: {
        skip "$language is not available", 1 if !$available{$language};
        skip 'without ids of their own, programs have none to set', 1
            if !$cb->get('/v1/sandbox/capabilities')->{data}{layers}{uid_per_cell}{in_force} && $language ne 'nodejs';
        my %uids;
        my $left = 12;
        $cb->many(4, sub { $left-- > 0 ? { language => $language, code => $by_name{$language} } : undef },
            sub { $uids{ $_[1]{data} ? $_[1]{data}{stdout} . $_[1]{data}{stderr} : $_[1]{body} }++ }, 60);
        is_deeply \%uids, { "/box user\n" => 12 }, "$language: the name leads back to the user, in every cell" or diag explain \%uids;
    }
}
is run_of('bash', 'ps -u user -o comm= >/tmp/ps; sort /tmp/ps | xargs'), "bash ps\n", 'ps finds the processes of a user by name'
    if !system('command -v ps >/dev/null') && $cb->get('/v1/sandbox/capabilities')->{data}{layers}{proc}{in_force};

is run_of('bash', 'hostname 2>/dev/null || cat /etc/hostname; getent hosts $(cat /etc/hostname) | cut -d" " -f1; getent hosts localhost | tail -1 | grep -c .'),
    "cellblock\n127.0.1.1\n1\n", 'the host has a name, which can be looked up';
is run_of('bash', 'getent passwd | cut -d: -f1 | sort -u | xargs; getent group | cut -d: -f1 | sort -u | xargs'), "nobody root user\nnogroup root user\n",
    'there are no users of the host';

# --- the time zone ---------------------------------------------------------------------------------------------------

is run_of('bash', 'date +%Z; TZ=Europe/Vienna date -d @0 +%H%Z; cat /etc/timezone; readlink /etc/localtime'),
    "JST\n01CET\nAsia/Tokyo\n/usr/share/zoneinfo/Asia/Tokyo\n", 'bash: the time zone is the configured one';
is run_of('python3', 'import time; print(time.strftime("%H%Z", time.localtime(0)))'), "09JST\n", 'Python: the time zone is the configured one';
is run_of('perl', 'use POSIX; print strftime("%H%Z\n", localtime 0)'), "09JST\n", 'Perl: the time zone is the configured one';

# --- files of the host -----------------------------------------------------------------------------------------------

for my $path (qw(/etc/ssl/certs/ca-certificates.crt /etc/mime.types /etc/services /etc/fonts/fonts.conf /etc/os-release /etc/alternatives/awk /etc/ld.so.cache)) {
  SKIP: {
        skip "the host has no $path", 1 if !-r $path;
        is run_of('bash', "test -s $path && echo there"), "there\n", "a cell has $path";
    }
}
is run_of('bash', 'ls -A /etc | grep -E "shadow|sudo|ssh|machine-id|fstab|cellblock|environment|systemd"; cat /etc/shadow 2>&1 | grep -c "No such file"'), "1\n",
    'a cell has nothing else of the host';
is run_of('bash', 'for f in /etc/passwd /etc/alternatives/x /etc/x /etc/ssl/certs/x; do : 2>/dev/null >$f && echo written $f; done; echo tried') =~ s/^main.*\n//mgr, "tried\n",
    'a cell can write nothing of it';

my ($status, undef, $error) = Cellblock::command([Cellblock::prefix() . '/bin/cellblock-runner', '-c', "$cb->{dir}/conf/cellblock.conf", '--check-config']);
is $status, 0, 'the configuration is right' or diag $error;
$cb->finish;
done_testing;
